"""Generated from ``protos/tapas_opt/api/v1``; never edited by hand."""
