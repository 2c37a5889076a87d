"""Pictures: bytes in, the pixels that a model expects out. No HTTP, no models."""
