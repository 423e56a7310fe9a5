"""Tasks that wait: for an instant of the plan, for a change window."""
