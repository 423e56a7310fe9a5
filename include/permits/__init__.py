"""Permits: no permit, no deploy — not when every box is green, not when an admin clicks."""
