"""Placement that survives failures: relief in time brings every failure below what remains."""
