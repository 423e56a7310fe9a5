"""Tasks that do one step of a release train, or ask a person."""
