"""Changes: what is asked for, in a canonical form whose significant part people sign."""
