"""Incidents: how severe, their two clocks, their review, and the changes that follow from it."""
