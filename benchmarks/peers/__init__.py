"""The other systems, each in a few lines; they run in the separate environment ``.venv-bench``.

Of the project they may import only model_catalog, benchmarks.pictures and
flask_server.imaging.resizing, whose dependencies are in requirements.txt.
"""
