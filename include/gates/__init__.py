"""Gates: what has to say go, for exactly one commit and one artefact."""
