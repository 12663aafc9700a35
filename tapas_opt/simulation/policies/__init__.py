"""Policies of a simulated run: who places, who routes, who configures, and the names of what these make together."""
