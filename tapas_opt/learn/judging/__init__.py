"""The parts of :mod:`tapas_opt.learn.judge`: what each model says of a day, and what is made of the differences."""
