from __future__ import annotations

import logging

import pytest

from flask_server.web.client_address import forwarded_address
from tests.flask_server.conftest import MakeApp


@pytest.mark.parametrize(
    ("proxies", "forwarded", "address"),
    [
        (1, "192.0.2.7", "192.0.2.7"),
        (1, "1.2.3.4, 192.0.2.7", "192.0.2.7"),
        (2, "1.2.3.4, 192.0.2.7, 10.0.0.9", "192.0.2.7"),
        (1, "2001:db8::7", "2001:db8::7"),
        (2, "192.0.2.7", None),
        (1, "a client", None),
        (1, "::1%any text", None),
        (1, "", None),
    ],
)
def test_address_is_that_which_the_outermost_trusted_proxy_saw(
    proxies: int, forwarded: str, address: str | None
) -> None:
    assert forwarded_address(forwarded, proxies) == address


@pytest.mark.parametrize(("proxies", "client"), [(0, "127.0.0.1"), (1, "192.0.2.7")])
def test_log_has_the_clients_address_if_a_proxy_is_trusted(
    make_app: MakeApp, caplog: pytest.LogCaptureFixture, proxies: int, client: str
) -> None:
    app = make_app(trusted_proxies=proxies)

    with caplog.at_level(logging.INFO):
        app.test_client().get("/models", headers={"X-Forwarded-For": "192.0.2.7"})

    (record,) = [r for r in caplog.records if r.name.endswith("access_log")]
    assert record.fields["client"] == client  # type: ignore[attr-defined]
