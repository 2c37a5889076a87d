"""Keys and certificates of an authority, a server and a client, made by openssl."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest


def write_certificates(folder: Path) -> None:
    """Write ``ca``, ``server`` and ``client``, each with ``.key`` and ``.crt``, into a folder."""

    def openssl(*arguments: str) -> None:
        try:
            subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)
        except FileNotFoundError:
            pytest.skip("openssl is not installed")

    new = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl("req", "-x509", *new, "-keyout", "ca.key", "-out", "ca.crt", "-subj", "/CN=ca")
    (folder / "names").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost")
    for name in ("server", "client"):
        openssl(
            "req", *new, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}"
        )
        sign = ("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.crt", "-CAkey", "ca.key")
        openssl(*sign, "-CAcreateserial", "-extfile", "names", "-out", f"{name}.crt")
