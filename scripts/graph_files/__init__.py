"""Wrap ``.tflite`` and frozen ``.pb`` files into version folders for the embedded model server."""
