"""What is released, and where it runs: services and environments as config/ declares them."""
