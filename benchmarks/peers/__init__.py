"""The other systems, each in a few lines, in an environment of their own (requirements.txt).

Of the project they import only model_catalog and flask_server.imaging.resizing, which need nothing
that requirements.txt lacks: the peers run on ``.venv-bench``.
"""
