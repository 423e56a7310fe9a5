"""Configuration of services: global → environment → service → flags, with its provenance."""
