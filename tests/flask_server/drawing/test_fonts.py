from __future__ import annotations

import pytest

from flask_server.drawing.fonts import DrawableText, drawable_text

#: A machine without any font of its own.
BARE: tuple[str, ...] = ()


@pytest.mark.parametrize(
    ("alternatives", "drawn"),
    [
        pytest.param(("sports_car",), "sports_car", id="ASCII"),
        pytest.param(("gâteau à la crème", "7"), "gateau a la creme", id="without accents"),
        pytest.param(("猫", "n02123045"), "n02123045", id="its id"),
        pytest.param(("", "n02123045"), "n02123045", id="an empty label"),
        pytest.param(("猫 and 犬", "猫"), "? and ?", id="nothing better"),
        pytest.param(("", ""), "?", id="nothing at all"),
        pytest.param(("two\nlines\tand  more",), "two lines and more", id="one line"),
        pytest.param(("a\u202eb\u200bc\x00",), "abc", id="invisible characters"),
    ],
)
def test_a_machine_without_fonts_draws_the_next_best(
    alternatives: tuple[str, ...], drawn: str
) -> None:
    assert drawable_text(20, *alternatives, fonts=BARE).text == drawn


def test_a_font_of_the_machine_draws_what_the_bundled_one_lacks() -> None:
    fonts = ("no-such-font.ttf", "DejaVuSans.ttf")

    found = drawable_text(20, "gâteau", "7", fonts=fonts)

    if found.font.getname()[0] != "DejaVu Sans":
        pytest.skip("needs the font DejaVu Sans")
    assert found.text == "gâteau"


def test_the_bundled_font_comes_first() -> None:
    assert (
        drawable_text(20, "cat").font.getname()
        == drawable_text(20, "cat", fonts=BARE).font.getname()
    )


def test_short_text_stays_whole() -> None:
    cat = drawable_text(20, "cat")

    assert cat.shortened(cat.width) is cat


@pytest.mark.parametrize("width", [30, 60, 119, 300])
def test_long_text_is_cut_to_the_width(width: int) -> None:
    long = drawable_text(20, "a label that goes on " * 5)

    cut = long.shortened(width)

    assert cut.text.endswith("...")
    assert long.text.startswith(cut.text.removesuffix("..."))
    one_letter_more = DrawableText(long.text[: len(cut.text) - 3 + 2] + "...", long.font)
    assert cut.width <= width < one_letter_more.width


def test_endless_labels_cost_no_time() -> None:
    assert len(drawable_text(20, "a" * 10_000_000).text) == 200
