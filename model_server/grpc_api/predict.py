"""Answer Predict calls: the order of checks, the inputs, the run and the response."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from numpy.typing import NDArray

from model_catalog.protos import number
from model_server.engines.protocol import DEFAULT_SIGNATURE, Signature, TensorInfo, Tensors
from model_server.errors import FailedPrecondition, InvalidArgument
from model_server.inference.method_names import check_method
from serving_api import protobuf_wire as wire
from serving_api import tensor_reader
from serving_api.messages import Message
from serving_api.tensor_map import entry_pieces
from serving_api.tensor_reader import Reserve, TensorFields
from serving_api.tensor_writer import Piece, tensor_bytes

_OUTPUTS: Final = number("PredictResponse", "outputs")
_SPEC: Final = number("PredictResponse", "model_spec")

Inputs = Mapping[str, TensorFields]


def find_signature(
    signatures: Mapping[str, Signature], name: str, *, strict: bool
) -> tuple[str, Signature]:
    """Return a signature and its name; ``strict`` checks the method name.

    Raises FailedPrecondition if there is none, Internal for another method name.
    """
    wanted = name or DEFAULT_SIGNATURE
    signature = signatures.get(wanted)
    if signature is None:
        raise FailedPrecondition(f'Serving signature key "{wanted}" not found.')
    if strict:
        check_method(signature)
    return wanted, signature


def tensors(inputs: Inputs, signature: Signature, reserve: Reserve) -> Tensors:
    """Return the inputs of a run, with the signature's defaults, or raise a ModelServerError.

    ``reserve`` is called with the memory that the tensors take beyond the request.
    """
    _check_count(inputs, signature)
    _check_names(inputs, signature)
    found = {alias: _tensor(inputs, alias, signature, reserve) for alias in signature.inputs}
    unknown = inputs.keys() - signature.inputs.keys()
    if unknown:
        raise InvalidArgument(
            f"Inputs contains invalid name. Used request inputs:"
            f" {','.join(sorted(inputs.keys() & signature.inputs.keys()))},"
            f" request input: {','.join(sorted(inputs))}"
        )
    return found


def _check_count(inputs: Inputs, signature: Signature) -> None:
    sent, expected = inputs.keys(), signature.inputs.keys()
    if len(sent) == len(expected) or (len(sent) < len(expected) and signature.default_tensors):
        return
    raise InvalidArgument(
        f"input size does not match signature: {len(sent)}!={len(expected)} len({_set(sent)})"
        f" != len({_set(expected)}). Sent extra: {_set(sent - expected)}."
        f" Missing but required: {_set(expected - sent)}."
    )


def _check_names(inputs: Inputs, signature: Signature) -> None:
    for alias, info in signature.inputs.items():
        if alias not in inputs and alias not in signature.default_tensors:
            raise InvalidArgument(
                f"Signature input alias: {alias}(feed name: {info.name}) not found in request and"
                f" no default value provided. Inputs expected to be in the request {_set(inputs)},"
                f" or default input alias set: {','.join(sorted(signature.default_tensors))}"
            )


def _tensor(inputs: Inputs, alias: str, signature: Signature, reserve: Reserve) -> NDArray[Any]:
    fields = inputs.get(alias)
    if fields is None:
        fields = tensor_reader.parse(memoryview(signature.default_tensors[alias]))
    try:
        return tensor_reader.to_array(fields, reserve)
    except InvalidArgument as error:
        raise InvalidArgument(f"tensor parsing error: {alias}") from error


def chosen_outputs(signature: Signature, output_filter: Sequence[str]) -> Mapping[str, TensorInfo]:
    """Return the outputs of a response: those of the filter, or all."""
    chosen: dict[str, TensorInfo] = {}
    for alias in output_filter:
        if alias not in signature.outputs:
            raise InvalidArgument(
                f"output tensor alias not found in signature: {alias} Outputs expected to be in the"
                f" set {_set(signature.outputs)}."
            )
        if alias in chosen:
            raise InvalidArgument(f"duplicate output tensor alias: {alias}")
        chosen[alias] = signature.outputs[alias]
    return chosen or signature.outputs


def answer(
    outputs: Tensors, infos: Mapping[str, TensorInfo], spec: Message, *, as_content: bool
) -> bytes:
    """Return a PredictResponse; ``as_content`` writes values into ``tensor_content``."""
    parts: list[Piece] = []
    for alias, info in infos.items():
        tensor = tensor_bytes(outputs[alias], as_content=as_content, declared=info.dtype)
        parts += entry_pieces(_OUTPUTS, alias, [tensor])
    return b"".join([*parts, wire.length_delimited(_SPEC, spec.SerializeToString())])


def _set(names: Collection[str]) -> str:
    return f"{{{','.join(sorted(names))}}}"
