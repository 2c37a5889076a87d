"""The file of API keys: what writes it, what reads it, and what a running gateway sees of it."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from flask_server import keys
from flask_server.access import key_file, key_store, key_writer
from flask_server.access.key_file import (
    ApiKey,
    KeyFileError,
    format_keys,
    hash_of,
    parse_keys,
    read_keys,
)
from flask_server.access.key_store import POLL_INTERVAL_S, KeyStore
from flask_server.errors import KeysUnavailable

ROOT = Path(__file__).parents[3]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "keys.json"


def entry(**fields: Any) -> dict[str, Any]:
    return {"name": "web", "sha256": "0" * 64, "created_at": "2026-01-01T00:00:00+00:00"} | fields


def document(*entries: Any) -> str:
    return json.dumps({"format": 1, "keys": entries})


def test_file_has_the_hash_of_the_key_and_never_the_key(file: Path) -> None:
    key = key_writer.create(file, "web", "100 per minute")

    (stored,) = read_keys(file)
    assert stored.sha256 == hashlib.sha256(key.encode()).hexdigest()
    assert (stored.name, stored.limit) == ("web", "100 per minute")
    assert key not in file.read_text()
    assert stored.id not in key


def test_keys_are_256_random_bits(file: Path) -> None:
    made = {key_writer.create(file, f"key {number}") for number in range(20)}

    assert len(made) == 20
    assert {len(key) for key in made} == {len(key_file.PREFIX) + 43}


@pytest.mark.parametrize("before", [None, 0o644], ids=["new file", "file others may read"])
def test_only_the_owner_may_read_the_file(file: Path, before: int | None) -> None:
    if before is not None:
        file.write_text(document())
        file.chmod(before)

    key_writer.create(file, "web")

    assert file.stat().st_mode & 0o777 == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_file_keeps_its_owner_when_root_writes(file: Path) -> None:
    key_writer.create(file, "web")
    os.chown(file, 12345, 12345)

    key_writer.create(file, "phone")

    assert (file.stat().st_uid, file.stat().st_gid) == (12345, 12345)


def test_revoked_key_is_gone_and_the_others_stay(file: Path) -> None:
    for name in ("web", "phone", "batch"):
        key_writer.create(file, name)

    key_writer.revoke(file, "phone")

    assert [key.name for key in read_keys(file)] == ["web", "batch"]


def test_name_stands_once(file: Path) -> None:
    key_writer.create(file, "web")

    with pytest.raises(KeyFileError, match="'web' already"):
        key_writer.create(file, "web")


def test_revoking_an_unknown_name_lists_the_known(file: Path) -> None:
    key_writer.create(file, "web")

    with pytest.raises(KeyFileError, match=r"'wep'; known are web\."):
        key_writer.revoke(file, "wep")


@pytest.mark.parametrize("name", ["a", "9", "a" * 64, "web page+1@x"])
def test_allowed_names(file: Path, name: str) -> None:
    key_writer.create(file, name)

    assert [key.name for key in read_keys(file)] == [name]


@pytest.mark.parametrize("name", ["", " web", "a" * 65, "web\n", "käse", "-web"])
def test_refused_name_leaves_no_file(file: Path, name: str) -> None:
    with pytest.raises(KeyFileError, match="name .* is not allowed"):
        key_writer.create(file, name)

    assert not file.exists()


@pytest.mark.parametrize("limit", ["1 per second", "100/minute", "10 per second; 5000 per day"])
def test_allowed_limits(file: Path, limit: str) -> None:
    key_writer.create(file, "web", limit)

    assert read_keys(file)[0].limit == limit


@pytest.mark.parametrize(
    "limit", ["", "100", "0 per minute", "9 per blink", "-1 per day", "1/s; x"]
)
def test_refused_limits(file: Path, limit: str) -> None:
    with pytest.raises(KeyFileError, match="limit .* allowed is for example 100 per minute"):
        key_writer.create(file, "web", limit)


def test_writers_at_the_same_time_lose_nothing(file: Path) -> None:
    names = [f"key {number}" for number in range(40)]

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: key_writer.create(file, name), names))

    assert sorted(key.name for key in read_keys(file)) == sorted(names)


def test_reader_never_meets_half_a_file(file: Path) -> None:
    key_writer.create(file, "web")
    done = threading.Event()

    def read() -> int:
        counts = {len(read_keys(file)) for _ in iter(done.is_set, True)}
        return len(counts)

    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(read)
        for number in range(100):
            key_writer.create(file, f"key {number}")
        done.set()

    assert reading.result() > 1


def test_link_to_the_file_stays_a_link(file: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.json"
    link.symlink_to(file)

    key_writer.create(link, "web")

    assert link.is_symlink()
    assert [key.name for key in read_keys(file)] == ["web"]


def test_nothing_but_the_file_and_its_lock_is_left(file: Path) -> None:
    key_writer.create(file, "web")
    key_writer.revoke(file, "web")

    assert {path.name for path in file.parent.iterdir()} == {"keys.json", "keys.json.lock"}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("", "not JSON", id="empty"),
        pytest.param('{"format": 1, "keys": [', "not JSON", id="half a file"),
        pytest.param("[" * 100_000, "not JSON", id="deep"),
        pytest.param("[]", "allowed is an object", id="a list"),
        pytest.param('{"format": 2, "keys": []}', "allowed is an object", id="other format"),
        pytest.param('{"format": 1}', "allowed is an object", id="no keys"),
        pytest.param('{"format": 1, "keys": [], "x": 1}', "allowed is an object", id="surplus"),
        pytest.param(document("web"), r"keys\[0\] must have", id="entry is text"),
        pytest.param(document({"name": "web"}), r"keys\[0\] must have", id="entry lacks hash"),
        pytest.param(document(entry(x=1)), r"keys\[0\] must have", id="entry has surplus"),
        pytest.param(document(entry(name=7)), r"keys\[0\]: name 7", id="name"),
        pytest.param(document(entry(created_at=7)), r"keys\[0\]: created_at 7", id="time"),
        pytest.param(document(entry(limit=7)), r"keys\[0\]: limit 7", id="limit"),
        pytest.param(document(entry(sha256="0" * 63)), r"keys\[0\]: sha256 is no", id="hash"),
        pytest.param(document(entry(), entry()), "the name 'web'", id="same name"),
        pytest.param(document(entry(), entry(name="b")), "the id '000000000000'", id="same key"),
    ],
)
def test_broken_file_says_what_and_where(file: Path, text: str, said: str) -> None:
    file.write_text(text)

    with pytest.raises(KeyFileError, match=said) as caught:
        read_keys(file)

    assert str(file) in str(caught.value)


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ([entry(sha256="icg_secret")], r"keys\[0\]: sha256 is not a SHA-256"),
        ([entry(name="icg_secret/")], r"keys\[0\]: name with an API key in it is not allowed"),
        ([entry(limit="icg_secret")], r"keys\[0\]: limit with an API key in it is not allowed"),
        ([entry(created_at=["icg_secret"])], r"created_at with an API key in it is not allowed"),
        ([entry(name="icg_secret")] * 2, "2 keys have the name with an API key in it"),
    ],
)
def test_a_key_in_a_wrong_place_is_not_quoted(entries: list[dict[str, Any]], said: str) -> None:
    with pytest.raises(KeyFileError, match=said) as caught:
        parse_keys(document(*entries))

    assert "secret" not in str(caught.value)


def test_missing_file_says_how_to_make_one(file: Path) -> None:
    with pytest.raises(KeyFileError, match=r"no API key file .*flask_server\.keys create"):
        read_keys(file)


Run = Callable[..., int]


@pytest.fixture
def run(file: Path) -> Run:
    return lambda *words: keys.main(["--file", str(file), *words])


def test_command_line_shows_a_key_once(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("create", "web", "--limit", "7 per minute") == 0
    created = capsys.readouterr()
    assert run("list") == 0
    listed = capsys.readouterr().out

    key = created.out.strip()
    assert key.startswith(key_file.PREFIX)
    assert key not in created.err
    assert all(word in listed for word in ("web", hash_of(key)[:12], "7 per minute"))
    assert key not in listed
    assert hash_of(key) not in listed


def test_command_line_revokes(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    run("create", "web")

    assert run("revoke", "web") == 0
    assert run("revoke", "web") == 1
    assert capsys.readouterr().err.splitlines()[-1] == (
        "There is no key named 'web'; known are none."
    )


def test_command_line_takes_the_file_of_the_gateway(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWAY_API_KEYS_FILE", str(file))

    assert keys.main(["create", "web"]) == 0

    assert [key.name for key in read_keys(file)] == ["web"]


def test_command_line_asks_for_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    assert keys.main(["list"]) == 2
    assert "--file or GATEWAY_API_KEYS_FILE" in capsys.readouterr().err


def test_command_line_says_in_one_line_what_cannot_be_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    nowhere = tmp_path / "no" / "such" / "keys.json"

    assert keys.main(["--file", str(nowhere), "create", "web"]) == 1

    (line,) = capsys.readouterr().err.splitlines()
    assert str(nowhere) in line


def test_module_runs_as_a_program(file: Path) -> None:
    command = [sys.executable, "-m", "flask_server.keys", "--file", str(file), "create", "web"]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)

    assert hash_of(done.stdout.strip()) == read_keys(file)[0].sha256


class Clock:
    """Seconds that the test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def pass_look(self) -> None:
        self.now += POLL_INTERVAL_S


@pytest.fixture
def clock() -> Clock:
    return Clock()


def test_ring_finds_a_key_and_nothing_like_it(file: Path) -> None:
    key = key_writer.create(file, "web")
    store = KeyStore(file)

    found = store.find(key)

    assert found is not None
    assert found.name == "web"
    for wrong in ("", key[:-1], key + "x", key.upper(), hash_of(key), found.id, "käse"):
        assert store.find(wrong) is None


def test_ring_finds_one_of_ten_thousand(file: Path) -> None:
    many = (ApiKey(f"key {n}", hash_of(f"key {n}"), "") for n in range(10_000))
    file.write_text(format_keys(tuple(many)))

    store = KeyStore(file)

    assert [key and key.name for key in map(store.find, ("key 9999", "key 10000"))] == [
        "key 9999",
        None,
    ]


def test_change_counts_from_the_next_look_on(file: Path, clock: Clock) -> None:
    web = key_writer.create(file, "web")
    store = KeyStore(file, clock)
    phone = key_writer.create(file, "phone")
    key_writer.revoke(file, "web")

    clock.now += POLL_INTERVAL_S - 0.001
    assert store.find(web)
    assert not store.find(phone)

    clock.now += 0.001
    assert not store.find(web)
    assert store.find(phone)


def test_two_looks_are_a_second_apart(file: Path, clock: Clock) -> None:
    key = key_writer.create(file, "web")
    store = KeyStore(file, clock)
    clock.pass_look()
    store.find(key)
    key_writer.revoke(file, "web")

    clock.now += POLL_INTERVAL_S - 0.001
    assert store.find(key)

    clock.now += 0.001
    assert not store.find(key)


def test_the_list_for_metrics_follows_the_file_without_requests(file: Path, clock: Clock) -> None:
    key_writer.create(file, "web")
    store = KeyStore(file, clock)
    before = store.listed()
    key_writer.revoke(file, "web")

    clock.pass_look()

    assert len(before) == 1
    assert store.listed() == frozenset()


def break_by_text(file: Path) -> None:
    file.write_text("half")


def break_by_absence(file: Path) -> None:
    file.unlink()


def break_by_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()
    (file / "x").touch()


def logged(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    """Return what the store has logged; the polls of an earlier test may log something, too."""
    return [record for record in caplog.records if record.name == key_store.__name__]


@pytest.mark.parametrize("break_it", [break_by_text, break_by_absence, break_by_folder])
def test_broken_file_is_said_once_and_changes_nothing(
    file: Path, clock: Clock, caplog: pytest.LogCaptureFixture, break_it: Callable[[Path], None]
) -> None:
    key = key_writer.create(file, "web")
    store = KeyStore(file, clock)
    break_it(file)

    for _ in range(3):
        clock.pass_look()
        assert store.find(key)

    (record,) = logged(caplog)
    assert record.levelno == logging.ERROR
    assert str(file) in record.message


def test_mended_file_counts_again(file: Path, clock: Clock) -> None:
    key = key_writer.create(file, "web")
    store = KeyStore(file, clock)
    good = file.read_text()
    file.write_text("half")
    clock.pass_look()
    store.find(key)

    file.write_text(good)
    phone = key_writer.create(file, "phone")
    clock.pass_look()

    assert store.find(phone)


def test_a_patient_ring_lets_nobody_in_until_the_file_is_good(
    file: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    key = key_writer.create(file, "web")
    good = file.read_text()
    file.write_text("half")
    with pytest.raises(KeyFileError):
        KeyStore(file, clock)
    store = KeyStore(file, clock, allow_unavailable=True)

    for _ in range(2):
        with pytest.raises(KeysUnavailable):
            store.find(key)
        clock.pass_look()
    (record,) = logged(caplog)
    assert "every key is refused" in record.message

    file.write_text(good)
    clock.pass_look()
    assert store.find(key)


def test_after_a_pause_nobody_goes_on_with_what_was_known_before(
    file: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = key_writer.create(file, "web")
    store = KeyStore(file, clock)
    key_writer.revoke(file, "web")
    clock.now += 2 * POLL_INTERVAL_S + 0.001
    reading, go_on = threading.Event(), threading.Event()

    def slow(path: Path) -> tuple[ApiKey, ...]:
        reading.set()
        go_on.wait(60)
        return read_keys(path)

    monkeypatch.setattr("flask_server.access.key_store.read_keys", slow)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(store.find, key)
        assert reading.wait(60)
        second = pool.submit(store.find, key)
        with pytest.raises(TimeoutError):
            second.result(0.05)
        go_on.set()

        assert (first.result(60), second.result(60)) == (None, None)


def test_no_lookup_fails_while_the_file_is_rewritten(file: Path) -> None:
    key = key_writer.create(file, "web")
    steps = iter(range(10**9))
    store = KeyStore(file, clock=lambda: next(steps) * POLL_INTERVAL_S)  # every question looks
    stop = threading.Event()

    def ask() -> bool:
        return all(store.find(key) for _ in iter(stop.is_set, True))

    with ThreadPoolExecutor(2) as pool:
        asking = [pool.submit(ask) for _ in range(2)]
        for number in range(20):
            key_writer.create(file, f"key {number}")
        stop.set()

    assert all(answer.result() for answer in asking)
    assert store.find(key)
