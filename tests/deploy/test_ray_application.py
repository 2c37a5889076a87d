"""What Ray is told, compared with Ray's own schemas; skipped where Ray is not installed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

#: Of Ray's own modules.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

CONFIG = Path(__file__).parents[2] / "deploy" / "ray" / "serve_config.yaml"


@pytest.fixture(autouse=True)
def _ray() -> None:
    pytest.importorskip("ray", reason="Ray is not installed: make ray installs it into .venv-ray")


def config_file() -> Any:
    import yaml  # type: ignore[import-untyped,unused-ignore]

    return yaml.safe_load(CONFIG.read_text())


def test_the_config_file_is_valid_and_builds_the_application() -> None:
    from ray.serve.schema import ServeDeploySchema

    from deploy.ray.application import NAME, build

    config = ServeDeploySchema.model_validate(config_file())
    (application,) = config.applications
    deployment = build(application.args)._bound_deployment

    assert application.name == deployment.name == NAME
    assert application.import_path == f"{build.__module__}:{build.__name__}"
    assert deployment.ray_actor_options["num_cpus"] == 2
    assert deployment.init_args[0]["tensorflow_session_parallelism"] == 2
    assert deployment.init_args[0]["model_config_file"] == "/models/models.config"


def test_the_grpc_functions_of_the_config_file_can_be_imported() -> None:
    from ray.serve.config import gRPCOptions

    from deploy.ray.servicers import add_services

    options = gRPCOptions(**config_file()["grpc_options"])

    assert options.grpc_servicer_func_callable == [add_services]
