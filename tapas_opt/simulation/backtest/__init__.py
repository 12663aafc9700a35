"""An operator's own days, taken through each policy."""
