"""Going back by hand: to the version before or an earlier one, in the plan's six steps (§4.4)."""
