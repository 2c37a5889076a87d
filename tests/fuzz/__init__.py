"""Fuzzing: arbitrary bytes for everything that reads bytes of strangers.

``target.py`` says what a target is, ``catalogue.py`` lists them. ``test_fuzz_targets.py`` mutates
their seeds with Hypothesis in ``make test``; ``run.py`` (``make fuzz``) searches with Atheris,
which prefers inputs that reach new lines of code.
"""
