"""Thermal- and power-aware scheduling for LLM inference in GPU datacenters."""

__version__ = "0.1.0"
