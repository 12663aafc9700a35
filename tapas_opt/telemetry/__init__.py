"""Readers of what sensors said: everything arrives in the one schema of `domain.history`, judged and gated."""
