"""Killing parts of a running stack in the middle of a deploy: `make faults`."""
