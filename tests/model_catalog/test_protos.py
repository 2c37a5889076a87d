from __future__ import annotations

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, json_format

from model_catalog.protos import ENUMS, MESSAGES, PACKAGE, SCALARS, file_descriptor, number


def test_protobuf_accepts_the_description() -> None:
    pool = descriptor_pool.DescriptorPool()
    pool.Add(json_format.ParseDict(file_descriptor(), descriptor_pb2.FileDescriptorProto()))

    for name, fields in MESSAGES.items():
        descriptor = pool.FindMessageTypeByName(f"{PACKAGE}.{name}")
        assert {f.name: f.number for f in descriptor.fields} == {
            field: number(name, field) for field in fields
        }


@pytest.mark.parametrize("name", MESSAGES)
def test_every_field_has_a_known_type_and_a_number_of_its_own(name: str) -> None:
    fields = MESSAGES[name]

    assert {kind.removeprefix("*") for _, kind in fields.values()} <= {*SCALARS, *MESSAGES, *ENUMS}
    assert len({tag for tag, _ in fields.values()}) == len(fields)
