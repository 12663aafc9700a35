"""Which server each new VM gets."""
