"""The use cases: classify pictures, explain a classification. No HTTP."""
