from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from orchestrator.errors import UsageError
from tests.flask_server.conftest import flat
from tests.flask_server.stub_serving import Servable
from tests.scripts.versions.request_logs import WrittenLog, pixels, strings
from tests.serving_gateway.model_actions.conftest import Project
from tests.waiting import eventually


def test_compare_writes_a_report_with_the_pictures_that_changed(
    project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project.serve((1, 2), stable=1)
    project.serving.models["toy"][2] = Servable(score=lambda pixels: [0.5, 0.25, 0.25])
    images = tmp_path / "images"
    images.mkdir()
    for name in ("white", "black"):
        (images / f"{name}.png").write_bytes(flat(name))
    (images / "cut.png").write_bytes(flat("white")[:40])
    out = tmp_path / "report.html"
    words = ["compare", "toy", "stable", "2", "--images", str(images), "--out", str(out)]

    assert eventually(lambda: project.serves(2))
    assert project.call(*words, "--url", project.url, "--json") == 0
    figures = json.loads(capsys.readouterr().out)

    assert (figures["pictures"], figures["errors"], figures["changed"]) == (3, 1, 1)
    assert figures["top1_agreement"] == 0.5
    assert figures["mean_score_shift"] == pytest.approx((0.75 + 0.5) / 2)
    assert len(figures["median_ms"]) == 2
    text = out.read_text()
    assert "white.png" in text
    assert text.count("data:image/jpeg") == 2  # the changed one, and the one with a shift
    assert "<td>light</td><td>dark</td>" in text
    assert "cut.png" in text
    assert project.call(*words, "--url", project.url, "--min-agreement", "0.9") == 1
    assert "same best class: 50.00% (1 changed)" in capsys.readouterr().out


def test_compare_asks_about_logged_requests(
    project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project.serve((1, 2), stable=1)
    project.serving.models["toy"][2] = Servable(score=lambda pixels: [0.5, 0.25, 0.25])
    log = WrittenLog(tmp_path)
    log.add({"pixels": pixels(0, 255)}, "pixels")
    log.add({"x": np.full((1, 4, 4, 3), 255, np.float32)})
    log.add({"pixels": strings(b"123")}, "pixels")
    log.close()
    (tmp_path / "black.png").write_bytes(flat("black"))
    out = tmp_path / "report.html"
    words = ["compare", "toy", "stable", "2", "--requests", log.prefix, "--out", str(out)]

    assert eventually(lambda: project.serves(2))
    assert project.call(*words, "--url", project.url, "--json") == 0
    figures = json.loads(capsys.readouterr().out)

    assert (figures["pictures"], figures["errors"], figures["changed"]) == (4, 1, 2)
    text = out.read_text()
    assert "request 1, row 2" in text
    assert "has 3 bytes of pixels" in text
    assert text.count("data:image/jpeg") == 2  # numbers have no preview
    more = ["--images", str(tmp_path / "black.png"), "--url", project.url, "--json"]
    assert project.call(*words, *more) == 0
    assert json.loads(capsys.readouterr().out)["pictures"] == 5
    with pytest.raises(UsageError, match="--images FOLDER or --requests FILE_OR_PREFIX"):
        project.call("compare", "toy", "1", "2", "--url", project.url)


def test_compare_names_the_versions_that_are_available(
    project: Project, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["compare", "toy", "1", "7", "--images", str(tmp_path)]

    assert project.call(*words, "--url", project.url) == 1
    assert "no version 7 that is available; there are 1" in capsys.readouterr().err
    assert project.call(*words) == 1
    assert "Nothing is running" in capsys.readouterr().err
