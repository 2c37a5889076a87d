"""The routes. Views only translate: request to question, answer to JSON."""
