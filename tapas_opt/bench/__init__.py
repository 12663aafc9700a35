"""How good tapas-opt is, measured: its learned models on telemetry of machines that nobody here built."""
