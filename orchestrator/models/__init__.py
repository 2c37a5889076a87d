"""What the supervisor knows of the models that are served."""
