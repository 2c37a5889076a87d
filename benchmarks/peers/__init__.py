"""The other systems, each in a few lines, in an environment of their own (requirements.txt).

Nothing here may import the project's programs: the peers run on ``.venv-bench``.
"""
