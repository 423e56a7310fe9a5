"""Places outside the database that keep signed heads."""
