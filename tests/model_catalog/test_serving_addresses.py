from __future__ import annotations

from model_catalog.serving_addresses import serving_addresses


def test_several_addresses_are_separated_by_commas() -> None:
    assert serving_addresses("grpc://a:1,grpc://b:2") == ("grpc://a:1", "grpc://b:2")
