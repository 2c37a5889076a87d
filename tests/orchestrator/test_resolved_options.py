from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from orchestrator.check import Check
from orchestrator.errors import Misused
from orchestrator.run_dir import RunDir
from orchestrator.site import Site, gateway_child, settle, start_options

ROOT = Path(__file__).parents[2]


def settled(folder: Path, *words: str) -> Site:
    parser = argparse.ArgumentParser()
    start_options(parser)
    return settle(parser.parse_args(words), RunDir(folder), folder)


def test_nothing_is_said_about_computing_unless_asked_for(tmp_path: Path) -> None:
    assert settled(tmp_path, "--serving", "embedded").computing == []


def test_how_to_compute_becomes_flags(tmp_path: Path) -> None:
    words = ["--engine", "openvino", "--precision", "auto", "--streams", "2"]
    site = settled(tmp_path, "--serving", "embedded", *words)

    assert site.computing == ["--engine=openvino", "--precision=auto", "--streams=2"]


@pytest.mark.parametrize(("words", "calls"), [([], "2"), (["--streams", "2"], "3")])
def test_the_gateway_keeps_all_streams_busy(
    words: list[str], calls: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GATEWAY_MAX_INFLIGHT_CALLS", raising=False)
    site = settled(tmp_path, "--serving", "embedded", *words)

    assert site.env["GATEWAY_MAX_INFLIGHT_CALLS"] == calls


def test_the_callers_old_name_of_a_setting_is_the_only_one_passed_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWAY_CALLS_UNDER_WAY", "5")

    env = settled(tmp_path, "--serving", "embedded").env

    assert env["GATEWAY_CALLS_UNDER_WAY"] == "5"
    assert "GATEWAY_MAX_INFLIGHT_CALLS" not in env


@pytest.mark.parametrize(
    ("words", "resize"),
    [
        pytest.param([], "false", id="default"),
        pytest.param(["--precision", "f32"], "false", id="f32"),
        pytest.param(["--precision", "bf16"], "auto", id="bf16"),
        pytest.param(["--precision", "auto"], "auto", id="auto"),
    ],
)
def test_who_computes_in_bf16_resizes_fast(
    words: list[str], resize: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("GATEWAY_FAST_RESIZE", raising=False)
    words = ["--serving", "embedded", *words]
    assert settled(tmp_path, *words).env["GATEWAY_FAST_RESIZE"] == resize

    monkeypatch.setenv("GATEWAY_FAST_RESIZE", "no")
    assert settled(tmp_path, *words).env["GATEWAY_FAST_RESIZE"] == "no"


def test_another_serving_cannot_be_told_how_to_compute(tmp_path: Path) -> None:
    words = ["--serving", "none", "--serving-url", "http://far:1", "--precision", "bf16"]

    with pytest.raises(Misused, match="--precision=bf16: only the embedded Serving has it"):
        settled(tmp_path, *words)


def gateway_check(folder: Path, models: str) -> str:
    """Return what the real gateway's check says about a models file."""
    pytest.importorskip("gunicorn")
    (folder / "models.toml").write_text(models)
    parser = argparse.ArgumentParser()
    start_options(parser)
    words = ["--serving", "none", "--serving-url", "http://127.0.0.1:1"]
    words += ["--models-file", str(folder / "models.toml")]
    site = settle(parser.parse_args(words), RunDir(folder), ROOT)
    return Check(gateway_child(site, tuple)).wait()


def test_the_gateways_check_finds_nothing_where_it_would_start(tmp_path: Path) -> None:
    assert gateway_check(tmp_path, '[models.m]\nbase_path = "."\n') == ""


def test_the_gateways_check_says_why_it_would_not_start(tmp_path: Path) -> None:
    said = gateway_check(tmp_path, '[models.m]\nbase_path = "."\ntypo = 1\n')

    assert "models.m.typo" in said
    assert "\n" not in said


def test_two_listeners_cannot_have_one_port(tmp_path: Path) -> None:
    words = ["--serving", "embedded", "--port", "5001", "--serving-port", "5001"]

    with pytest.raises(Misused, match="^--serving-port and --port are both 5001; give them two"):
        settled(tmp_path, *words)


def test_one_port_on_two_addresses_is_fine(tmp_path: Path) -> None:
    words = ["--serving", "embedded", "--port", "5001", "--serving-port", "5001"]

    assert settled(tmp_path, *words, "--host", "127.0.0.2").options.port == 5001
