"""The gRPC service: validate, call the core, translate the error."""
