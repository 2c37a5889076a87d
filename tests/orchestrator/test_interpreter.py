from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.interpreter import WINDOWS, hand_over, refusal

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "path", ["auto_cmd.py", "orchestrator/interpreter.py", "serving_gateway/__main__.py"]
)
def test_python_3_7_can_parse_the_first_modules(path: str) -> None:
    ast.parse((ROOT / path).read_text(encoding="utf-8"), feature_version=(3, 7))


def test_windows_is_refused_in_one_sentence() -> None:
    assert refusal("win32", (3, 12), has_own=True) == WINDOWS


@pytest.mark.parametrize(
    ("version", "has_own", "refused"),
    [
        ((3, 11), False, False),
        ((3, 14), False, False),
        ((3, 10), False, True),
        ((3, 10), True, False),
    ],
)
def test_old_pythons_need_the_projects_own(
    version: tuple[int, int], has_own: bool, refused: bool
) -> None:
    reason = refusal("linux", version, has_own=has_own)

    assert (reason is not None and "is 3.10" in reason) == refused


def test_the_projects_python_takes_over() -> None:
    script = (
        "import sys; from orchestrator.interpreter import hand_over; "
        "hand_over(['-c', 'import sys; print(sys.argv[1:])', 'start', '--port', '5001'])"
    )
    if not (ROOT / ".venv" / "bin" / "python").exists():
        pytest.skip("the project's own Python is not installed here")

    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert done.stdout == "['start', '--port', '5001']\n"


def test_an_old_python_in_the_projects_environment_does_not_take_over_from_itself() -> None:
    script = (
        "import sys; from orchestrator.interpreter import hand_over; "
        f"sys.version_info = (3, 9, 2); sys.prefix = {str(ROOT / '.venv')!r}; "
        "hand_over(['-c', 'print(\"handed over\")'])"
    )

    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stdout) == (2, "")
    assert "needs Python 3.11 or newer, this is 3.9" in done.stderr


def test_without_a_python_of_its_own_it_exits_with_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "platform", "win32")

    with pytest.raises(SystemExit) as ended:
        hand_over([])

    assert ended.value.code == 2
    assert "WSL 2" in capsys.readouterr().err
