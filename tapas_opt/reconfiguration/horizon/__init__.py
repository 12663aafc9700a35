"""Reconfiguration over a receding horizon: who changes to what, and in which slot."""
