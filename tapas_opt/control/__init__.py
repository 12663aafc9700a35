"""Learned models and a fleet make problems; plans become events. No clock, no network, no gRPC in here."""
