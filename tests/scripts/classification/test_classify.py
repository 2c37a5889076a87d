"""Folders of pictures through a real gateway: rows, errors, resume, sheet and exit codes."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from flask_server.access.key_writer import create
from scripts import classify
from scripts.classification import outputs
from scripts.classification.bounded_map import bounded_map
from scripts.classification.rows import Row
from tests.flask_server.conftest import flat
from tests.flask_server.stub_serving import Servable, StubServing
from tests.scripts.gateway.running import running_gateway


@pytest.fixture(scope="module")
def serving() -> Iterator[StubServing]:
    with StubServing().running() as stub:
        yield stub


@pytest.fixture(scope="module")
def url(serving: StubServing, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_gateway(serving, tmp_path_factory.mktemp("gateway")) as url:
        yield url


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    (folder / "white.png").write_bytes(flat("white"))
    (folder / "more" / "black.PNG").write_bytes(flat("black"))
    (folder / "notes.txt").write_text("no picture")
    return folder


def run(url: str, out: Path, *words: object) -> int:
    return classify.main([*map(str, words), "--out", str(out), "--url", url])


def best(row: Row) -> str:
    return row.predictions[0].label if row.predictions else row.error


def results(out: Path) -> dict[str, str]:
    return {Path(row.file).name: best(row) for row in outputs.read(out)}


def test_each_picture_below_the_folders_has_a_row(
    url: str, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "r.csv"

    assert run(url, out, photos, photos / "white.png") == 0

    assert results(out) == {"white.png": "light", "black.PNG": "dark"}
    assert capsys.readouterr().out == f"{out}: 2 images\n"
    assert len(outputs.read(out)[0].predictions) == 3  # the model has no more classes


def test_a_picture_that_fails_has_a_row_with_its_error(
    url: str, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (photos / "cut.png").write_bytes(flat("white")[:50])
    (photos / "gone.png").symlink_to("nowhere")
    out = tmp_path / "r.jsonl"

    assert run(url, out, photos) == 3

    found = results(out)
    assert found["gone.png"] == "unreadable"
    assert found["white.png"] == "light"
    assert "image" in found["cut.png"]
    assert "2 could not be classified" in capsys.readouterr().out
    (photos / "cut.png").write_bytes(flat("black"))
    (photos / "gone.png").unlink()
    assert run(url, out, photos) == 0
    assert results(out)["cut.png"] == "dark"


def test_the_same_command_goes_on_where_a_run_stopped(
    url: str, serving: StubServing, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "r.csv"
    run(url, out, photos / "white.png")
    serving.predicts.clear()

    assert run(url, out, photos) == 0

    assert len(serving.predicts) == 1
    assert "2 images, 1 of them by an earlier run" in capsys.readouterr().out
    assert run(url, out, photos, "--again") == 0
    assert sum(len(body["instances"]) for body in serving.predicts) == 3


def test_an_interrupted_run_keeps_what_it_has(
    url: str, serving: StubServing, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(rows: Iterator[Row], _total: int) -> Iterator[Row]:
        yield next(rows)
        raise KeyboardInterrupt

    out = tmp_path / "r.csv"
    with monkeypatch.context() as patch:
        patch.setattr(classify, "progress", interrupted)
        assert run(url, out, photos, "--parallel", 1) == 130
    assert len(outputs.read(out)) == 1
    with (tmp_path / ".r.csv.part").open("ab") as journal:
        journal.write('{"file": "é'.encode()[:-1])  # cut inside a letter

    assert run(url, out, photos) == 0
    assert len(outputs.read(out)) == 2
    assert not list(tmp_path.glob(".r.csv*"))


def test_the_sheet_shows_each_picture_and_needs_no_other_file(
    url: str, photos: Path, tmp_path: Path
) -> None:
    (photos / "<b>.png").write_bytes(b"broken")
    sheet = tmp_path / "sheet.html"

    assert run(url, tmp_path / "r.csv", photos, "--sheet", sheet) == 3

    text = sheet.read_text(encoding="utf-8")
    assert text.count("data:image/jpeg;base64,") == 2
    assert "<h2>light (1)</h2>" in text
    assert "&lt;b&gt;.png" in text
    assert "<b>" not in text
    assert "http" not in text.partition("</head>")[2]
    assert "<script" not in text


def test_results_of_another_model_or_length_are_not_mixed(
    url: str, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "r.csv"
    outputs.write(out, [Row(file="x", model="other", version=1)], top_k=5)

    assert run(url, out, photos) == 1
    assert "has results of the model other" in capsys.readouterr().err

    out.unlink()
    run(url, out, photos)
    assert run(url, out, photos, "--top-k", 1) == 1
    assert "--top-k 3" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--model", "none"], "There is no model 'none'; known are toy"),
        (["--version", "9"], "Model toy has no available version 9"),
        (["--label", "x"], "no version labelled 'x'"),
        (["--url", "http://127.0.0.1:1"], "does not answer (ConnectionError); is it running?"),
        (["--url", "127.0.0.1:1"], "allowed is a URL such as"),
        (["--sheet", "/no/such/folder/s.html"], "/no/such/folder is not a folder"),
    ],
)
def test_what_would_fail_for_every_picture_ends_the_run(
    url: str,
    photos: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    words: Any,
    told: str,
) -> None:
    argv = [str(photos), "--out", str(tmp_path / "r.csv"), "--url", url, *words]

    assert classify.main(argv) == 1
    assert told in capsys.readouterr().err


def test_a_place_without_pictures_is_told(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(url, tmp_path / "r.csv", tmp_path) == 1
    assert "no image found; names that end in" in capsys.readouterr().err
    assert run(url, tmp_path / "r.csv", tmp_path / "absent") == 1
    assert "neither a folder nor a file" in capsys.readouterr().err


def test_a_version_is_asked_by_number(
    url: str, serving: StubServing, photos: Path, tmp_path: Path
) -> None:
    serving.models["toy"][2] = Servable()
    try:
        assert run(url, tmp_path / "r.jsonl", photos, "--version", 1) == 0
    finally:
        del serving.models["toy"][2]
    assert {row.version for row in outputs.read(tmp_path / "r.jsonl")} == {1}


def test_names_that_are_no_text_have_a_row(url: str, photos: Path, tmp_path: Path) -> None:
    try:
        Path(os.fsdecode(bytes(photos) + b"/\xff.png")).write_bytes(flat("white"))
    except OSError:
        pytest.skip("this file system has names in Unicode only")

    assert run(url, tmp_path / "r.jsonl", photos) == 0
    assert "\\udcff.png" in results(tmp_path / "r.jsonl")


def test_a_gateway_that_needs_a_key_gets_it(
    serving: StubServing, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, out = tmp_path / "keys.json", tmp_path / "r.csv"
    key = create(file, "me", None)
    with running_gateway(serving, tmp_path, api_keys_file=file) as url:
        assert run(url, out, photos) == 1
        assert run(url, out, photos, "--api-key", key) == 0
        monkeypatch.setenv("GATEWAY_API_KEY", key)
        assert run(url, out, photos, "--again") == 0


def test_busy_answers_are_asked_again(
    serving: StubServing, url: str, photos: Path, tmp_path: Path
) -> None:
    serving.answer = (503, {"error": "busy"})
    timer = threading.Timer(0.2, lambda: setattr(serving, "answer", None))
    timer.start()

    assert run(url, tmp_path / "r.csv", photos) == 0
    timer.join()


def test_few_items_are_taken_ahead() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for number in range(100):
            taken.append(number)
            yield number

    results = bounded_map(lambda number: number, items(), threads=2)
    first = next(results)

    assert first in range(4)
    assert len(taken) == 4
    assert sorted([first, *results]) == list(range(100))


def test_help_names_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        classify.main(["--help"])

    assert "3 some images could not" in " ".join(capsys.readouterr().out.split())
