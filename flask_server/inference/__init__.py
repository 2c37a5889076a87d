"""The use cases: classify images, explain a classification. No HTTP."""
