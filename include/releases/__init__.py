"""Releases: their versions, the commits in them, what a freeze allows, and their notes."""
