"""The web page that classifies images; its scripts use only the public API."""

from __future__ import annotations

from flask import Blueprint, render_template

from flask_server.web.route_traits import traits

bp = Blueprint("page", __name__)


@bp.get("/")
@traits(needs_key=False, revalidated=True)
def index() -> str:
    """Return the page."""
    return render_template("index.html")
