"""How gunicorn runs the gateway: ``gunicorn -c flask_server/gunicorn.conf.py``.

The numbers come from the same settings as the app, so a bad one stops the start with one sentence.
"""

import math
import os
import sys

from flask_server.settings import Settings, SettingsError
from model_catalog.errors import CatalogError
from model_catalog.models_file import load_models_file

try:
    _settings = Settings.from_env(os.environ)
    load_models_file(_settings.models_file)
except (SettingsError, CatalogError) as error:
    sys.exit(str(error))

wsgi_app = "flask_server.app:create_app()"
bind = "127.0.0.1:5000"
worker_class = "gthread"
workers = _settings.workers
threads = _settings.threads
# Longer than the pools of common proxies and browsers keep a connection, so that they close first.
keepalive = 75
# A worker whose main loop is silent for this long is hung; requests run in other threads.
timeout = 30
graceful_timeout = math.ceil(_settings.deadline_s) + 5
control_socket_disable = True
