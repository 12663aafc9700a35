"""The simulated truth: physics, weather, workload and sensors. Shares no formula and no code with ``learn``."""
