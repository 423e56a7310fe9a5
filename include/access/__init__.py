"""Who may do what, who did it, and whether that is as it should be."""
