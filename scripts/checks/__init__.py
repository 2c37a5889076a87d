"""Check an export: its scores before it is published, and its preprocessing."""
