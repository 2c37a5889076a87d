"""Errors in the descriptions of models: models file, label files and model specs."""

from __future__ import annotations

from pathlib import Path


class CatalogError(ValueError):
    """A description is invalid; the message names the place and the allowed values."""

    def __init__(self, message: str, *, for_clients: str | None = None) -> None:
        super().__init__(message)
        self.for_clients = for_clients or message
        """The message without addresses of model servers and places outside the models file's
        folder."""


class SpecError(CatalogError):
    """A field of a model spec is invalid."""

    def __init__(self, field: str, received: object, allowed: str) -> None:
        super().__init__(f"{field}: {shown(received)} is not allowed; allowed is {allowed}.")


class LabelsError(CatalogError):
    """A label file cannot be read or is invalid."""


class ModelsFileError(CatalogError):
    """The models file cannot be read, or one of its entries is invalid or missing."""


def value_error(
    path: Path, key: str, received: object, allowed: str, *, hidden: bool = False
) -> ModelsFileError:
    """Return the error about a value of the models file.

    ``hidden`` keeps the value from clients: it may be the address of a model server, or a path.
    """

    def text(value: str) -> str:
        return f"{path}: {key}: {value} is not allowed; allowed is {allowed}."

    for_clients = text("the value") if hidden else None
    return ModelsFileError(text(shown(received)), for_clients=for_clients)


def shown(value: object, limit: int = 60) -> str:
    """Return the ``repr`` of a value for an error message, cut to ``limit`` characters."""
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"


class GoldenError(CatalogError):
    """The golden images of a version cannot be used."""
