"""The packages of the extras, which doctor looks for and the layer rules compare with imports."""

from __future__ import annotations

from model_catalog.extras import required_packages


def test_the_extras_of_both_servers_name_all_that_these_import() -> None:
    groups = required_packages("gateway", "openvino")

    engines = ["openvino", "tensorflow-cpu", "tensorflow"]
    assert [group for group in groups if len(group) > 1] == [engines]
    assert {"flask", "orjson", "pybase64", "prometheus-client", "urllib3", "protobuf"} <= {
        name for group in groups for name in group
    }
    assert "protobuf" not in {name for group in required_packages("gateway") for name in group}
