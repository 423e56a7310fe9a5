"""A history that was made up, with its truth beside it: for demonstrations and for tests."""
