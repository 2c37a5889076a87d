"""The web page that classifies images; its scripts use only the public API."""

from __future__ import annotations

from flask import Blueprint, render_template

bp = Blueprint("page", __name__)


@bp.get("/")
def index() -> str:
    """Return the page."""
    return render_template("index.html")
