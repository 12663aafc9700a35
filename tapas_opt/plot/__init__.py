"""Pictures of what happened: a run as one page that needs nothing but a browser."""
