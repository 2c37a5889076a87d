"""Write a signature as protobuf's debug text, as some error messages quote it. Pure."""

from __future__ import annotations

from model_server.engines.protocol import Signature, TensorInfo
from serving_api.dtypes import ENUM_NAMES


def signature_text(signature: Signature) -> str:
    """Return a signature as protobuf's debug text, as some error messages quote it."""
    return "".join(
        (
            "goo.gle/debugonly   \n",
            *(_entry_text("inputs", *item) for item in sorted(signature.inputs.items())),
            *(_entry_text("outputs", *item) for item in sorted(signature.outputs.items())),
            f'method_name: "{signature.method_name}"\n' if signature.method_name else "",
        )
    )


def _entry_text(field: str, alias: str, info: TensorInfo) -> str:
    dims = "".join(f"      dim {{\n        size: {size}\n      }}\n" for size in info.shape or ())
    shape = "      unknown_rank: true\n" if info.shape is None else dims
    return (
        f'{field} {{\n  key: "{alias}"\n  value {{\n    name: "{info.name}"\n'
        f"    dtype: {ENUM_NAMES.get(info.dtype, info.dtype)}\n"
        f"    tensor_shape {{\n{shape}    }}\n  }}\n}}\n"
    )
