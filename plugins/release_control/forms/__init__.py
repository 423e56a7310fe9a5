"""Trigger forms: what a person fills in, and what the API refuses before a run exists."""
