"""How a version gets in front of people, and back: targets, strategies and what they report."""
