"""The versions of a model as a workflow: add, promote, roll back, compare and remove them."""
