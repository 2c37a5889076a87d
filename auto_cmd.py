"""Placeholder until the orchestrator lands."""
