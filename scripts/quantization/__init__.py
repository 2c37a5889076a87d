"""Quantise an export to int8 with NNCF, and measure what that changes."""
