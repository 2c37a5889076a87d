"""The page for people: drop a picture, see the bars. All it knows comes from the API."""

from __future__ import annotations

from flask import Blueprint, render_template

bp = Blueprint("page", __name__)


@bp.get("/")
def index() -> str:
    """Answer the page."""
    return render_template("index.html")
