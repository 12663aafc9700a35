"""Conditional value at risk: what loads came to together on recent days, and the mean of the worst of them."""
