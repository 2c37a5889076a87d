"""Faults and version swaps under load, with real processes.

``make test`` runs a quick form; ``make resilience`` runs the long form and writes the tables of
docs/reliability.md. The models of these tests have scores and labels that name their version, so
each response shows by itself whether it mixes two versions.
"""
