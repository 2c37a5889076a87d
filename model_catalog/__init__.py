"""The contracts all programs share: model spec, label lists, models file. Stdlib only."""
