"""Where figures about a version under traffic come from: one protocol, one file per source."""
