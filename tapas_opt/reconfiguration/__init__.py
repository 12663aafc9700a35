"""Reconfiguration: which choice each SaaS instance runs next, in load swings and in emergencies."""
