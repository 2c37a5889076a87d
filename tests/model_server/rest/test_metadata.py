from __future__ import annotations

import json

from model_server.engines.protocol import Signature, TensorInfo
from model_server.inference.signature_text import signature_text
from model_server.models.versions import VersionStatus
from model_server.rest.metadata import metadata_body, status_body

SIGNATURE = Signature(
    inputs={"x": TensorInfo("x:0", "float", (-1, 2))},
    outputs={"y": TensorInfo("y:0", "string", None), "n": TensorInfo("n:0", "int64", ())},
)


def test_the_layout_of_a_status() -> None:
    body = status_body(
        [VersionStatus(2, "END", "NOT_FOUND", 'no "2"'), VersionStatus(1, "LOADING")]
    )

    assert body.decode() == (
        '{\n "model_version_status": [\n'
        '  {\n   "version": "2",\n   "state": "END",\n   "status": {\n'
        '    "error_code": "NOT_FOUND",\n    "error_message": "no \\"2\\""\n   }\n  },\n'
        '  {\n   "version": "1",\n   "state": "LOADING",\n   "status": {\n'
        '    "error_code": "OK",\n    "error_message": ""\n   }\n  }\n ]\n}\n'
    )


def test_the_layout_of_metadata() -> None:
    body = metadata_body("m", 7, {"serving_default": Signature({}, {}, "a/b")})

    assert body.decode() == (
        '{\n"model_spec":{\n "name": "m",\n "version": "7",\n "signature_name": ""\n}\n,\n'
        '"metadata": {"signature_def": {\n "signature_def": {\n  "serving_default": {\n'
        '   "inputs": {},\n   "outputs": {},\n   "method_name": "a/b",\n   "defaults": {}\n'
        "  }\n }\n}\n}\n}\n"
    )


def test_every_field_of_a_tensor_is_there() -> None:
    document = json.loads(metadata_body("m", 1, {"s": SIGNATURE}))

    described = document["metadata"]["signature_def"]["signature_def"]["s"]
    assert described["inputs"]["x"] == {
        "name": "x:0",
        "dtype": "DT_FLOAT",
        "tensor_shape": {
            "dim": [{"size": "-1", "name": ""}, {"size": "2", "name": ""}],
            "unknown_rank": False,
        },
    }
    assert described["outputs"]["y"]["tensor_shape"] == {"dim": [], "unknown_rank": True}
    assert described["outputs"]["n"]["tensor_shape"] == {"dim": [], "unknown_rank": False}


def test_a_signature_as_debug_text() -> None:
    assert signature_text(SIGNATURE) == (
        "goo.gle/debugonly   \n"
        'inputs {\n  key: "x"\n  value {\n    name: "x:0"\n    dtype: DT_FLOAT\n'
        "    tensor_shape {\n      dim {\n        size: -1\n      }\n"
        "      dim {\n        size: 2\n      }\n    }\n  }\n}\n"
        'outputs {\n  key: "n"\n  value {\n    name: "n:0"\n    dtype: DT_INT64\n'
        "    tensor_shape {\n    }\n  }\n}\n"
        'outputs {\n  key: "y"\n  value {\n    name: "y:0"\n    dtype: DT_STRING\n'
        "    tensor_shape {\n      unknown_rank: true\n    }\n  }\n}\n"
        'method_name: "tensorflow/serving/predict"\n'
    )
