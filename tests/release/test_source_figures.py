from __future__ import annotations

from release.python_source import source_of
from release.source_figures import Figures, measure, percentile, public_names

TEXT = '''"""A module."""

from typing import overload

import other

LIMIT: int = 1
_OWN = 2
first = second = 3


class Public:
    """A class."""

    def method(self) -> None:
        """A method,

        whose docstring has three lines.
        """
        def inner() -> None:
            pass

        inner()

    def silent(self) -> None: ...

    def __len__(self) -> int:
        return 0


class _Own:
    def method(self) -> None: ...


@overload
def function(x: int) -> int: ...
def function(x):  # type: ignore
    try:
        return x
    except (ValueError, Exception):
        raise
    except ValueError:
        raise
    except:
        raise
'''


def figures(**texts: str) -> Figures:
    """Return the figures of modules of the room ``a``."""
    return measure(source_of(f"a/{name}.py", text) for name, text in texts.items())


def test_a_function_counts_its_lines_without_the_docstring() -> None:
    found = {place.split()[1]: lines for place, lines in figures(m=TEXT).functions.items()}

    assert found == {"method": 1, "inner": 2, "silent": 1, "__len__": 2, "function": 9}
    assert figures(m="def f():\n    '''A\n    b.'''\n    return 1\n").functions == {"a/m.py:1 f": 2}


def test_nested_functions_count_in_their_function_as_well() -> None:
    found = figures(m=TEXT.replace("class _Own", "class Another")).functions

    assert [n for place, n in found.items() if place.endswith(" method")] == [5, 1]


def test_public_names_need_a_docstring() -> None:
    found = figures(m=TEXT, n="A = 1\n")

    assert [place.split()[-1] for place, told in found.documented.items() if not told] == [
        *("silent", "function", "a/n.py"),
    ]
    assert found.documented_share == 3 / 6
    assert measure([]).documented_share == 0


def test_type_ignores_and_broad_handlers_are_counted() -> None:
    found = figures(m=TEXT)

    assert (found.type_ignores, found.broad_handlers) == (1, 2)
    assert figures(m="A = '# type: ignore'\n").type_ignores == 0


def test_names_are_counted_once_per_module() -> None:
    assert list(public_names(source_of("a/m.py", TEXT))) == [
        *("LIMIT", "first", "second", "Public", "function", "function"),
    ]
    found = figures(m=TEXT, n="LIMIT = 1\ndef function(): ...\n", o="LIMIT = 2\n")

    assert found.repeated_names == {"a: LIMIT": 3, "a: function": 2}


def test_names_of_several_rooms_are_not_compared() -> None:
    assert (
        measure([source_of("a/m.py", "A = 1"), source_of("b/m.py", "A = 1")]).repeated_names == {}
    )


def test_modules_without_code_are_left_out() -> None:
    found = figures(m=TEXT, __init__='"""A package."""\n')

    assert found.modules == {"a/m.py": len(TEXT.splitlines())}
    assert found.folders == {"a": 1}


def test_a_percentile_is_one_of_the_numbers() -> None:
    numbers = range(1, 11)

    assert [percentile(numbers, share) for share in (0.01, 0.5, 0.9, 0.91, 1)] == [1, 5, 9, 10, 10]
    assert percentile([], 0.5) == 0
