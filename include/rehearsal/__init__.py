"""Rehearsals: one whole release train of the sample service, driven as people would drive it."""
