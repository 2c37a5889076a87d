"""Engines that load and run SavedModels: TensorFlow and OpenVINO."""
