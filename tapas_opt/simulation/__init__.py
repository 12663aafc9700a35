"""The closed loop: a plant, a policy, and failures; what happened is a record."""
