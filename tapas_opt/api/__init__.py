"""The gRPC contract, generated from ``protos/``; never edited by hand."""
