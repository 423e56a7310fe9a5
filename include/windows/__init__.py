"""One opening of a change window: what is due, what may start now, what is left at its end."""
