"""How the gateway runs under gunicorn: worker, configuration before the fork, memory."""
