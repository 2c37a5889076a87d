"""Name everything that can be wrong with a model's description, free of HTTP and of processes."""


class CatalogError(ValueError):
    """A description of a model cannot be used; the message names the place and what is allowed."""


class SpecError(CatalogError):
    """A model spec has a bad field."""

    def __init__(self, field: str, received: object, allowed: str) -> None:
        self.field = field
        super().__init__(f"{field}: {shown(received)} is not allowed; allowed is {allowed}.")


class LabelsError(CatalogError):
    """A label file cannot be read."""


class ModelsFileError(CatalogError):
    """The models file has a bad or missing entry."""


def shown(value: object, limit: int = 60) -> str:
    """Return the value as an error message quotes it: its JSON-like form, cut at ``limit``."""
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"
