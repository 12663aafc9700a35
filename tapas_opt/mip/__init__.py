"""Columns and rows: the engine room, which knows no datacenter."""
