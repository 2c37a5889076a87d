"""Build the text of TensorFlow Serving's ``--model_config_file`` from a models file."""

from __future__ import annotations

from collections.abc import Iterable

from model_catalog.models_file import ModelEntry, ModelsFile


def serving_config(models: ModelsFile) -> str:
    """Return the ModelServerConfig (text protobuf) of all models without a ``serving_url``."""
    blocks = (_config(entry) for entry in models.entries if entry.serving_url is None)
    return "model_config_list {\n" + "".join(blocks) + "}\n"


def has_version_labels(models: ModelsFile) -> bool:
    """Tell whether Serving needs ``--allow_version_labels_for_unavailable_models``."""
    return any(entry.version_labels for entry in models.entries if entry.serving_url is None)


def _config(entry: ModelEntry) -> str:
    lines = [
        f"name: {_quoted(entry.name)}",
        f"base_path: {_quoted(str(entry.base_path))}",
        'model_platform: "tensorflow"',
        *_policy(entry.versions),
        *(
            f"version_labels {{ key: {_quoted(label)} value: {version} }}"
            for label, version in entry.version_labels.items()
        ),
    ]
    return "  config {\n" + "".join(f"    {line}\n" for line in lines) + "  }\n"


def _policy(versions: str | tuple[int, ...]) -> Iterable[str]:
    if versions == "all":
        yield "model_version_policy { all {} }"
    elif versions != "latest":
        chosen = " ".join(f"versions: {version}" for version in versions)
        yield f"model_version_policy {{ specific {{ {chosen} }} }}"


def _quoted(text: str) -> str:
    """Return a quoted text-protobuf string, with octal escapes for all but printable ASCII."""
    escaped = "".join(
        chr(byte) if 32 <= byte < 127 and byte not in b'"\\' else f"\\{byte:03o}"
        for byte in text.encode("utf-8")
    )
    return f'"{escaped}"'
