"""The figures of the reports, drawn from plain numbers, a kind of figure in each file."""
