"""The durable journal: every command that changed something, its events, and the answer it got."""
