"""Tell Ray's gRPC server the methods of TensorFlow Serving's services."""

from __future__ import annotations

from typing import Any

import grpc

from deploy.ray.replica import METHODS


def add_services(_: object, server: Any) -> None:  # noqa: ANN401 - Ray's subclass of a grpc server
    """Register all methods; messages stay bytes, and Ray routes each to the method of its name."""
    for service, names in METHODS.items():
        handlers = {name: grpc.unary_unary_rpc_method_handler(_never_called) for name in names}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))


def _never_called(_: bytes, __: object) -> bytes:
    raise NotImplementedError("Ray replaces this function")
