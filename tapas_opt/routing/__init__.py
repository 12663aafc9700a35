"""Which instance takes which request: a plan of shares every few seconds, and a pick for each request."""
