"""Build the text of TensorFlow Serving's ``--model_config_file`` from a models file."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from model_catalog.model_entry import LoggingEntry, ModelEntry
from model_catalog.models_file import ModelsFile


def serving_config(models: ModelsFile) -> str:
    """Return the ModelServerConfig (text protobuf) of all models without a ``serving_url``."""
    blocks = (_config(entry) for entry in models.entries if entry.serving_url is None)
    return "model_config_list {\n" + "".join(blocks) + "}\n"


def next_step(
    entry: ModelEntry, labelled: Mapping[str, int], available: Collection[int], newest: int | None
) -> ModelEntry:
    """Return the entry to configure next, on the way to ``entry``.

    ``labelled`` has the versions of the labels that are configured now. Serving refuses a whole
    config that moves a label to a version that is not available. So such a label stays where it is,
    and both versions are served, until the new one is available.
    """
    waiting = {
        label: labelled[label]
        for label, version in entry.version_labels.items()
        if labelled.get(label, version) != version and version not in available
    }
    if not waiting:
        return entry
    labels = dict(entry.version_labels) | waiting
    versions = entry.versions
    if versions != "all":
        listed = {newest} - {None} if isinstance(versions, str) else set(versions)
        needed = {entry.version_labels[label] for label in waiting} | set(waiting.values())
        versions = tuple(sorted(number for number in listed | needed if number is not None))
    return replace(entry, versions=versions, version_labels=labels)


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
        *_logging(entry.logging),
    ]
    return "  config {\n" + "".join(f"    {line}\n" for line in lines) + "  }\n"


def _policy(versions: str | tuple[int, ...]) -> Iterable[str]:
    if versions == "all":
        yield "model_version_policy { all {} }"
    elif versions != "latest":
        chosen = " ".join(f"versions: {version}" for version in versions)
        yield f"model_version_policy {{ specific {{ {chosen} }} }}"


def _logging(logging: LoggingEntry | None) -> Iterable[str]:
    if logging is not None:
        collector = f"log_collector_config {{ filename_prefix: {_quoted(logging.prefix)} }}"
        sampling = f"sampling_config {{ sampling_rate: {logging.rate!r} }}"
        yield f"logging_config {{ {collector} {sampling} }}"


def _quoted(text: str) -> str:
    """Return a quoted text-protobuf string, with octal escapes for all but printable ASCII."""
    escaped = "".join(
        chr(byte) if 32 <= byte < 127 and byte not in b'"\\' else f"\\{byte:03o}"
        for byte in text.encode("utf-8")
    )
    return f'"{escaped}"'
