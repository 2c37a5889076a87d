"""Servables: which versions exist, loading, unloading, the model config file."""
