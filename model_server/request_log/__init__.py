"""Sampled request logging: which calls are logged, their records, the files and their writer."""
