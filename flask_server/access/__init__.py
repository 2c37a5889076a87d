"""API keys: authentication, and how many requests each key may send."""
