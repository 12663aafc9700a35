"""``python -m tapas_opt`` is the ``tapas-opt`` command."""

from tapas_opt.cli.main import main

if __name__ == "__main__":
    main()
