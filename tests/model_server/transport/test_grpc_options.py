from __future__ import annotations

from model_server.transport.grpc_options import read_arguments


def test_channel_arguments() -> None:
    text = (
        "grpc.max_connection_age_ms=2000,grpc.primary_user_agent=me,,x=,a=2147483647,b=2147483648"
    )

    assert read_arguments(text) == {
        "grpc.max_connection_age_ms": 2000,
        "grpc.primary_user_agent": "me",
        "x": "",
        "a": 2147483647,
        "b": "2147483648",
    }
