"""Models on a real Ray cluster of several nodes, and what clients of a gateway see meanwhile.

``make ray`` runs this: it takes minutes. Each node has a network namespace of its own.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from tests.deploy.ray_cluster import GRPC_PORT, RayCluster, ray_cluster, wait_for, why_not
from tests.deploy.ray_load import Observed, ask, gateway_app, load
from tests.running import ROOT

REASON = "make ray runs this" if "RAY_LONG" not in os.environ else why_not()
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(900),
    pytest.mark.skipif(REASON is not None, reason=str(REASON)),
]

DIGITS = ROOT / "my_digit_classifier" / "1"
#: The labels of the two versions, by digit.
LABELS = {1: "0123456789", 2: "abcdefghij"}
#: The machine may be busy.
PATIENCE_S = 120
FLAGS = (
    "--ray_max_replicas=4",
    "--ray_target_ongoing_requests=1",
    "--ray_upscale_delay_s=2",
    "--ray_downscale_delay_s=5",
    "--ray_health_check_s=2",
    "--file_system_poll_wait_seconds=1",
)


def relabelled(source: Path, target: Path) -> None:
    """Copy a version of the digits with letters as labels; like an exporter, rename it last."""
    draft = target.with_name(f".draft-{target.name}")
    shutil.copytree(source, draft)
    for file in (draft / "saved_model.pb", draft / "assets.extra" / "model_spec.json"):
        data = file.read_bytes()
        for digit, letter in enumerate(LABELS[2]):
            data = data.replace(
                f'["{digit}","{digit}"]'.encode(), f'["{digit}","{letter}"]'.encode()
            )
        file.write_bytes(data)
    draft.rename(target)


@pytest.fixture(autouse=True)
def _no_child_left() -> None:
    """Replace the check for children: a node that is added in a test ends with the cluster."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ray")


@pytest.fixture(scope="module", params=["proxy", "haproxy"])
def cluster(request: pytest.FixtureRequest, folder: Path) -> Iterator[RayCluster]:
    base = folder / "digits"
    shutil.rmtree(base, ignore_errors=True)
    shutil.copytree(DIGITS, base / "1")
    with ray_cluster(2, haproxy=request.param == "haproxy") as made:
        deploy(made, base, 1)
        made.watch()
        yield made


@pytest.fixture(scope="module")
def app(cluster: RayCluster, folder: Path) -> Iterator[Flask]:
    with gateway_app(cluster.url, folder) as made:
        wait_for(lambda: ask(made, 1).status == 200, PATIENCE_S)
        yield made


def deploy(cluster: RayCluster, base: Path, least: int, *flags: str) -> None:
    """Deploy the digits; two versions stay loaded, so that no replica lacks the older one."""
    config = base.with_name("models.config")
    config.write_text(
        f'model_config_list {{ config {{ name: "digits" base_path: "{base}"'
        ' model_platform: "tensorflow" model_version_policy { latest { num_versions: 2 } } } }'
    )
    cluster.deploy(f"--model_config_file={config}", f"--ray_min_replicas={least}", *FLAGS, *flags)


def say(cluster: RayCluster, story: str, text: str) -> None:
    """Report a figure for docs/ray.md."""
    sys.stderr.write(f"\n[{story}] {text}")


def in_order(observed: Observed, since: float) -> None:
    assert observed.wrong(LABELS) == []
    late = [one for one in observed.seen if one.at >= since]
    assert late
    assert [one for one in late if not one.is_right(LABELS)] == []


def test_a_gateway_needs_only_the_url_of_the_cluster(
    cluster: RayCluster, app: Flask, folder: Path
) -> None:
    with gateway_app(f"grpc://{cluster.head.address}:{GRPC_PORT}", folder) as over_grpc:
        wait_for(lambda: ask(over_grpc, 1).status == 200, PATIENCE_S)
        seen = [ask(one, digit) for one in (app, over_grpc) for digit in range(10)]

    assert [one for one in seen if not one.is_right(LABELS)] == []


def test_replicas_come_with_the_load_and_go_after_it(cluster: RayCluster, app: Flask) -> None:
    with load(app, 1) as observed:
        begun = time.monotonic()
        with load(app, 12) as busy:
            up_s = wait_for(lambda: cluster.replicas >= 2, PATIENCE_S)
        down_s = wait_for(lambda: cluster.replicas == 1, PATIENCE_S)
        quiet = time.monotonic()
        time.sleep(3)

    say(cluster, "scale", f"up after {up_s:.0f} s, down {down_s:.0f} s after the load")
    say(cluster, "scale", f"{busy.summary(begun)}; {observed.summary(begun)}")
    in_order(busy, 0)
    in_order(observed, quiet)


def test_changed_flags_replace_the_replicas_without_a_failure(
    cluster: RayCluster, app: Flask, folder: Path
) -> None:
    with load(app, 4) as observed:
        changed = time.monotonic()
        deploy(cluster, folder / "digits", 2, "--rest_api_num_threads=6")
        took_s = time.monotonic() - changed
        time.sleep(5)

    say(cluster, "flags", f"deployed in {took_s:.0f} s: {observed.summary(changed)}")
    in_order(observed, time.monotonic() - 2)


@pytest.mark.parametrize("loss", ["killed", "unplugged"])
def test_a_lost_node_costs_at_most_refusals(
    cluster: RayCluster, app: Flask, folder: Path, loss: str
) -> None:
    deploy(cluster, folder / "digits", 3)
    wait_for(lambda: cluster.replicas >= 3, PATIENCE_S)
    with load(app, 4) as observed:
        time.sleep(3)
        lost = time.monotonic()
        node = cluster.nodes[-1]
        node.kill() if loss == "killed" else node.unplug()
        noticed_s = wait_for(lambda: cluster.replicas < 3, PATIENCE_S)
        cluster.add_node()
        back_s = wait_for(lambda: cluster.replicas >= 3, PATIENCE_S)
        time.sleep(5)
        healed = time.monotonic()
        time.sleep(3)

    say(
        cluster, loss, f"noticed after {noticed_s:.0f} s, three replicas again {back_s:.0f} s later"
    )
    say(cluster, loss, observed.summary(lost))
    in_order(observed, healed)


def test_a_new_version_replaces_the_old_one_on_all_replicas(
    cluster: RayCluster, app: Flask, folder: Path
) -> None:
    with load(app, 4) as observed:
        time.sleep(2)
        published = time.monotonic()
        relabelled(DIGITS, folder / "digits" / "2")
        wait_for(lambda: observed.seen[-1].version == 2, PATIENCE_S)
        time.sleep(5)
        replaced = time.monotonic()
        time.sleep(3)

    first = next(one.at for one in observed.seen if one.version == 2) - published
    last = max(one.at for one in observed.seen if one.version == 1) - published
    say(cluster, "update", f"version 2 from {first:.1f} s on, version 1 until {last:.1f} s")
    say(cluster, "update", observed.summary(published))
    in_order(observed, replaced)
    assert {one.version for one in observed.seen if one.at >= replaced} == {2}
