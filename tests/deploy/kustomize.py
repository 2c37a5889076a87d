"""Render kustomizations as far as those of ``deploy/kubernetes`` go: resources and merge patches.

Where kubectl is installed, a test compares the result with that of ``kubectl kustomize``.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

Manifest = dict[str, Any]
_FIELDS = {"apiVersion", "kind", "resources", "patches"}


def render(folder: Path) -> list[Manifest]:
    """Return the manifests of a kustomization, patches applied."""
    (kustomization,) = documents(folder / "kustomization.yaml")
    assert set(kustomization) <= _FIELDS, f"{folder}: a field is not supported"
    manifests = [
        manifest for name in kustomization["resources"] for manifest in _resource(folder / name)
    ]
    for patch in kustomization.get("patches", []):
        assert set(patch) == {"path"}, f"{folder}: only whole files are supported as patches"
        for change in documents(folder / patch["path"]):
            (target,) = [
                manifest for manifest in manifests if identity(manifest) == identity(change)
            ]
            manifests[manifests.index(target)] = _merged(target, change)
    return manifests


def documents(file: Path) -> list[Manifest]:
    """Return the YAML documents of a file."""
    return list(yaml.safe_load_all(file.read_text(encoding="utf-8")))


def identity(manifest: Manifest) -> tuple[str, str, str]:
    """Return what tells a manifest from all others of a namespace."""
    return manifest["apiVersion"], manifest["kind"], manifest["metadata"]["name"]


def _resource(path: Path) -> list[Manifest]:
    return render(path) if path.is_dir() else documents(path)


def _merged(base: Any, change: Any) -> Any:
    """Merge a patch: objects by key, lists of named objects by name; None removes a key."""
    if isinstance(base, dict) and isinstance(change, dict):
        left = {key: value for key, value in base.items() if key not in change}
        new = {
            key: _merged(base.get(key), value) for key, value in change.items() if value is not None
        }
        return left | new
    if _is_named(base) and _is_named(change):
        changes = {item["name"]: item for item in change}
        merged = [_merged(item, changes.pop(item["name"], {})) for item in base]
        return [*changes.values(), *merged]
    return change


def _is_named(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(x, dict) and "name" in x for x in value)
