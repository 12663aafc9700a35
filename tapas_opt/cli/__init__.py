"""The command line: one module per command, registered in :mod:`tapas_opt.cli.main`."""
