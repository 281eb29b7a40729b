"""Drawing by each kind of model: prefixes of causal ones, blanks of blank ones, masks of masked ones."""
