"""Say at each view how the hooks around it treat its requests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from flask import Flask, current_app, request

View = TypeVar("View", bound=Callable[..., object])

_ATTRIBUTE = "route_traits"


@dataclass(frozen=True, kw_only=True, slots=True)
class RouteTraits:
    """How hooks treat the requests of one view; a view that says nothing has the defaults."""

    needs_key: bool = True
    """Whether callers need an API key where keys are turned on."""

    limited: bool = False
    """Whether ``admission`` counts the request as one of the predictions in flight."""

    predicts: bool = False
    """Whether metrics count the images of the request by outcome."""

    health_check: bool = False
    """Whether the access log tells the request only at level DEBUG: machines send one every few
    seconds."""

    revalidated: bool = False
    """Whether the response changes rarely, so that ``caching`` gives it an ETag."""

    page_file: bool = False
    """Whether pages load the response, so that it has the security headers of a page."""


DEFAULT = RouteTraits()


def traits(**given: bool) -> Callable[[View], View]:
    """Return a decorator that gives a view these ``RouteTraits``; it stands below the route's."""
    made = RouteTraits(**given)

    def mark(view: View) -> View:
        setattr(view, _ATTRIBUTE, made)
        return view

    return mark


def traits_of_request() -> RouteTraits:
    """Return the traits of the view that the current request has matched, if any."""
    return traits_of(current_app, request.endpoint)


def traits_of(app: Flask, endpoint: str | None) -> RouteTraits:
    """Return the traits of an endpoint's view."""
    view = app.view_functions.get(endpoint or "")
    found: RouteTraits = getattr(view, _ATTRIBUTE, DEFAULT)
    return found
