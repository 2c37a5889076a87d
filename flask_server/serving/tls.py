"""Certificates for encrypted connections to model servers, ``https://`` and ``grpcs://``."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from pathlib import Path

from flask_server.settings import Settings, SettingsError


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files; None where the settings name none."""

    ca: Path | None = None
    """The certificates that a model server's certificate must be signed by."""

    certificate: Path | None = None
    """The gateway's own certificate, for model servers that ask for one."""

    key: Path | None = None
    """The private key of the own certificate."""

    @classmethod
    def of(cls, settings: Settings) -> TlsFiles:
        """Return the files of the settings."""
        return cls(settings.serving_ca, settings.serving_certificate, settings.serving_key)


SYSTEM_TLS = TlsFiles()


def check_files(files: TlsFiles) -> None:
    """Raise SettingsError for files that cannot be used; nothing is asked for a password."""
    if (files.certificate is None) != (files.key is None):
        raise SettingsError(
            "GATEWAY_SERVING_CERTIFICATE and GATEWAY_SERVING_KEY are needed together: a certificate"
            " and its private key."
        )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        if files.ca is not None:
            context.load_verify_locations(files.ca)
    except OSError as error:  # among them those of ssl
        raise _unusable("GATEWAY_SERVING_CA", files.ca, error, "certificates") from error
    try:
        if files.certificate is not None:
            # No password, so that OpenSSL does not ask for one on the terminal.
            context.load_cert_chain(files.certificate, files.key, password="")  # nosec B106
    except OSError as error:
        raise _unusable(
            "GATEWAY_SERVING_CERTIFICATE and GATEWAY_SERVING_KEY",
            files.certificate,
            error,
            "a certificate and its private key without a password",
        ) from error


def _unusable(variables: str, file: Path | None, error: OSError, allowed: str) -> SettingsError:
    reason = getattr(error, "reason", None) or error.strerror or str(error)
    return SettingsError(
        f"{variables}: {file} cannot be used ({reason}); allowed are PEM files with {allowed}."
    )


def trusted_certificates(files: TlsFiles) -> bytes | None:
    """Return the trusted certificates as PEM texts: those of the file, else those of the system.

    None if neither has any.
    """
    if files.ca is not None:
        return files.ca.read_bytes()
    paths = ssl.get_default_verify_paths()
    if paths.cafile is not None:
        return Path(paths.cafile).read_bytes()
    # OpenSSL finds a certificate by a link that is named after a hash of its owner.
    links = sorted(Path(paths.capath).glob("*.[0-9]")) if paths.capath is not None else []
    return b"\n".join(link.read_bytes() for link in links if link.is_file()) or None
