"""Studies: many simulated cases side by side, and what a capacity engineer reads from them.

:mod:`~tapas_opt.planning.study` is the file of a study, :mod:`~tapas_opt.planning.cells` what is run for it,
:mod:`~tapas_opt.planning.lessons` what is learned before; :mod:`~tapas_opt.planning.running` and
:mod:`~tapas_opt.planning.kept` how that survives whatever ends; :mod:`~tapas_opt.planning.findings`,
:mod:`~tapas_opt.planning.money` and :mod:`~tapas_opt.planning.worths` are what it comes to.
"""
