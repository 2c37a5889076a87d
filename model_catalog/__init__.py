"""Formats that all programs share: model spec, label files, models file.

Standard library only, apart from ``places``, which needs platformdirs.
"""
