"""classifier.js in a page of another origin."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps
from playwright.sync_api import Page

from flask_server.access import key_writer
from tests.browser.conftest import DIGITS, MakeSite, Open
from tests.browser.page_actions import IMAGES
from tests.browser.scripted_gateway import Reply, Script, scripted
from tests.flask_server.conftest import draw, saved
from tests.listening import folder_site
from tests.running import free_port

pytestmark = pytest.mark.slow

#: Import the module, make the picture a file, classify it, and return what came of it.
CALL = """async ([module, picture, type, options, abortMs]) => {
  const { classify, ClassifierError } = await import(module);
  const bytes = () => Uint8Array.from(atob(picture), (byte) => byte.charCodeAt(0));
  const file = type === null ? picture : new Blob([bytes()], { type });
  if (abortMs !== null) options.signal = AbortSignal.timeout(abortMs);
  try {
    return await classify(file, options);
  } catch (error) {
    const { name, isAboutModels } = error;
    return { ...error, name, isAboutModels, ours: error instanceof ClassifierError };
  }
}"""

#: EXIF tag of the orientation.
ORIENTATION = 0x0112

PREDICT = "/models/toy/predict"
MODEL = {
    "name": "toy",
    "default": True,
    "ready": True,
    "version": 1,
    "versions": [],
    "input": {"width": 32, "height": 32},
}
ANSWER = {"model": "toy", "version": 1, "predictions": []}
GOOD = {"class_id": "1", "label": "one", "score": 0.5}

Ask = Callable[..., dict[str, Any]]


def json_reply(document: Any, status: int = 200, **headers: str) -> Reply:
    return Reply(status, json.dumps(document).encode(), headers=headers)


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of an empty page of another origin."""
    folder = tmp_path_factory.mktemp("elsewhere")
    (folder / "index.html").write_text(
        '<!doctype html><link rel="icon" href="data:,"><title>elsewhere</title>'
    )
    with folder_site(folder) as url:
        yield url


@pytest.fixture
def page(open_page: Open, elsewhere: str) -> Page:
    return open_page(elsewhere, refusals=[400, 401, 415, 502, 503, "ERR_CONNECTION_REFUSED"])


@pytest.fixture
def ask(page: Page, site: str) -> Ask:
    def call(
        picture: bytes | str,
        kind: str = "image/png",
        abort_ms: float | None = None,
        module: str = site,
        **options: Any,
    ) -> dict[str, Any]:
        text = picture if isinstance(picture, str) else base64.b64encode(picture).decode()
        given = None if isinstance(picture, str) else kind
        answer: dict[str, Any] = page.evaluate(
            CALL, [f"{module}/static/classifier.js", text, given, options, abort_ms]
        )
        return answer

    return call


@pytest.fixture
def script() -> Iterator[Script]:
    with scripted() as script:
        script.replies = {
            "/models": [json_reply({"models": [MODEL]})],
            "/models/toy": [json_reply(MODEL)],
            PREDICT: [json_reply(ANSWER)],
        }
        yield script


def digit(number: int) -> bytes:
    return (IMAGES / f"digit_{number}.png").read_bytes()


@cache
def photo(orientation: int = 1) -> bytes:
    """A large photo like those of phones, with edges that show its orientation."""
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    with Image.open(IMAGES / "cat.jpg") as image:
        return saved(image.resize((3000, 2000)), "JPEG", quality=95, exif=exif)


def uploaded(script: Script) -> Image.Image:
    return Image.open(io.BytesIO(script.requests[-1].body))


def test_file_gets_its_labels_from_the_modules_own_gateway(ask: Ask) -> None:
    answer = ask(digit(3), topK=2)

    assert (answer["model"], answer["version"], answer["warnings"]) == ("digits", 1, [])
    best, second = answer["predictions"]
    assert (best["classId"], best["label"]) == ("3", "3")
    assert best["score"] > second["score"]
    assert {"decode", "serving", "total"} <= answer["serverMs"].keys()
    assert answer["elapsedMs"] > answer["serverMs"]["total"]
    assert answer["sentBytes"] == len(digit(3))
    assert answer["requestId"]


@pytest.mark.parametrize("head", ["", "data:image/png;base64,"])
def test_base64_text_gets_its_labels(ask: Ask, head: str) -> None:
    answer = ask(head + base64.b64encode(digit(8)).decode(), model="digits")

    assert answer["predictions"][0]["label"] == "8"


@pytest.mark.parametrize(
    ("picture", "code", "status"),
    [
        ("no base64!", "invalid_base64", 400),
        ("", "missing_image", 400),
        (b"no picture", "unsupported_image", 415),
    ],
)
def test_problem_becomes_a_classifier_error(
    ask: Ask, picture: bytes | str, code: str, status: int
) -> None:
    error = ask(picture)

    assert (error["ours"], error["name"]) == (True, "ClassifierError")
    assert (error["code"], error["status"]) == (code, status)
    assert error["detail"].endswith(".")
    assert error["requestId"]


def test_answer_of_something_else_is_an_error_too(ask: Ask, script: Script) -> None:
    script.replies[PREDICT] = [Reply(502, b"<h1>Bad Gateway</h1>", "text/html")]
    broken = ask(digit(1), url=script.url, model="toy")
    script.replies[PREDICT] = [Reply(200, b"<h1>Welcome</h1>", "text/html")]
    foreign = ask(digit(1), url=script.url, model="toy")

    assert (broken["code"], broken["status"]) == ("unexpected_answer", 502)
    assert (foreign["code"], foreign["status"]) == ("unexpected_answer", 200)


@pytest.mark.parametrize("document", [{"hello": 1}, [], None, {"predictions": 3}])
def test_json_of_something_else_is_no_answer(ask: Ask, script: Script, document: object) -> None:
    script.replies[PREDICT] = [json_reply(document)]
    script.replies["/models"] = [json_reply(document)]

    answers = [ask(digit(1), url=script.url, model=model) for model in ("toy", None)]

    assert [(a["ours"], a["code"]) for a in answers] == [(True, "unexpected_answer")] * 2


@pytest.mark.parametrize(
    ("change", "lack"),
    [
        ({"predictions": [{"class_id": "1", "score": 1}]}, "prediction 1 has no label"),
        ({"predictions": [{"label": "one", "score": 1}]}, "prediction 1 has no class_id"),
        ({"predictions": [GOOD, GOOD | {"score": "1"}]}, "prediction 2 has no score"),
        ({"predictions": [None]}, "prediction 1 has no class_id"),
        ({"predictions": None}, "it has no predictions"),
        ({"model": None}, "it names no model"),
        ({"version": "1"}, "it names no version"),
        ({"warnings": "untrained"}, "its warnings are no texts"),
    ],
)
def test_answer_that_lacks_something_is_refused_with_the_reason(
    ask: Ask, script: Script, change: dict[str, Any], lack: str
) -> None:
    script.replies[PREDICT] = [json_reply(ANSWER | change)]

    error = ask(digit(1), url=script.url, model="toy")

    assert (error["ours"], error["code"], error["status"]) == (True, "unexpected_answer", 200)
    assert error["detail"].endswith(f"something other than the gateway's response: {lack}.")


@pytest.mark.parametrize(
    ("models", "lack"),
    [
        ([], "it has no models"),
        ([MODEL, {}], "a model has no name"),
        ([MODEL | {"input": {"width": 32}}], "the input of model toy has no size"),
    ],
)
def test_list_of_models_that_lacks_something_is_refused(
    ask: Ask, script: Script, models: list[Any], lack: str
) -> None:
    script.replies["/models"] = [json_reply({"models": models})]

    error = ask(digit(1), url=script.url)

    assert (error["code"], error["detail"].endswith(f": {lack}.")) == ("unexpected_answer", True)


@pytest.mark.parametrize("url", ["", "http://"])
def test_address_that_is_none_is_a_classifier_error(ask: Ask, url: str) -> None:
    error = ask(digit(1), url=url)

    assert (error["ours"], error["code"], error["status"]) == (True, "invalid_url", 0)


def test_the_default_model_is_asked_for_anew_after_an_error_that_names_it(
    ask: Ask, script: Script
) -> None:
    gone = {"code": "unknown_model", "status": 400, "detail": "There is no such model."}
    broken = {"code": "corrupt_image", "status": 400, "detail": "The image is damaged."}
    script.replies[PREDICT] = [json_reply(broken, 400), json_reply(gone, 400), json_reply(ANSWER)]

    errors = [ask(digit(1), url=script.url), ask(digit(1), url=script.url)]
    ask(digit(1), url=script.url)

    assert [error["code"] for error in errors] == ["corrupt_image", "unknown_model"]
    assert [error["isAboutModels"] for error in errors] == [False, True]
    assert script.paths == ["/models", PREDICT, PREDICT, "/models", PREDICT]


def test_the_default_model_is_the_gateways_whatever_was_asked_before(
    ask: Ask, script: Script
) -> None:
    other = MODEL | {"name": "other", "default": False}
    script.replies["/models"] = [json_reply({"models": [MODEL, other]})]
    script.replies["/models/other"] = [json_reply(other)]
    script.replies["/models/other/predict"] = [json_reply(ANSWER | {"model": "other"})]

    ask(photo(), "image/jpeg", url=script.url, model="other")
    ask(digit(1), url=script.url)

    assert script.requests[-1].path == PREDICT


def test_key_that_no_header_can_carry(ask: Ask, site: str) -> None:
    error = ask(digit(1), url=site, apiKey="kä€e")

    assert (error["ours"], error["code"], error["status"]) == (True, "invalid_api_key", 0)


def test_gateway_that_cannot_be_reached(ask: Ask) -> None:
    error = ask(digit(1), url=f"http://127.0.0.1:{free_port()}", model="toy")

    assert (error["ours"], error["code"], error["status"]) == (True, "unreachable", 0)


def test_key_passes_the_preflight_and_is_checked(
    ask: Ask, make_site: MakeSite, digits_serving: str, tmp_path: Path
) -> None:
    key = key_writer.create(tmp_path / "keys.json", "web")
    url = make_site(digits_serving, DIGITS, api_keys_file=tmp_path / "keys.json")

    none = ask(digit(4), url=url, model="digits")
    wrong = ask(digit(4), url=url, model="digits", apiKey="icg_wrong")
    right = ask(digit(4), url=url, apiKey=key)

    assert (none["code"], none["status"]) == ("missing_api_key", 401)
    assert (wrong["code"], wrong["status"]) == ("invalid_api_key", 401)
    assert right["predictions"][0]["label"] == "4"


def test_heat_map_comes_as_a_picture(page: Page, site: str) -> None:
    found = page.evaluate(
        """async ([root, picture]) => {
          const { Classifier } = await import(`${root}/static/classifier.js`);
          const heat = await new Classifier(root).explain(picture, { classId: "3" });
          const { width, height } = await createImageBitmap(heat);
          return { type: heat.type, width, height };
        }""",
        [site, base64.b64encode(digit(3)).decode()],
    )

    assert found["type"] == "image/png"
    assert min(found["width"], found["height"]) > 32


@pytest.mark.parametrize("body", [b"", b"<h1>Welcome</h1>", b"\xff\xd8\xff\xe0"])
def test_heat_map_that_is_no_png_is_refused(
    page: Page, script: Script, site: str, body: bytes
) -> None:
    script.replies["/models/toy/explain"] = [Reply(200, body, "image/png")]

    error = page.evaluate(
        """async ([root, url]) => {
          const { Classifier } = await import(`${root}/static/classifier.js`);
          const classifier = new Classifier(url);
          return classifier.explain("aGFsbG8=", { model: "toy" }).catch((error) => ({ ...error }));
        }""",
        [site, script.url],
    )

    assert (error["code"], error["status"]) == ("unexpected_answer", 200)
    assert error["detail"].endswith("the gateway's response: it is no PNG file.")


def test_heat_map_comes_as_numbers(page: Page, site: str) -> None:
    heat = page.evaluate(
        """async ([root, picture]) => {
          const { Classifier } = await import(`${root}/static/classifier.js`);
          return new Classifier(root).heat(picture, { classId: "3" });
        }""",
        [site, base64.b64encode(digit(3)).decode()],
    )

    assert (heat["classId"], heat["label"], heat["box"]) == ("3", "3", [0, 0, *heat["size"]])
    assert len(heat["grid"]) == len(heat["grid"][0]) > 3


def test_heat_map_without_its_numbers_is_refused(page: Page, script: Script, site: str) -> None:
    size = {"size": [4, 4]}
    good = {"class_id": "1", "label": "one", "score": 1, "grid": [[1, 0]], "box": [0, 0, 4, 4]}
    cases = [
        (None, "it names no class"),
        (good | {"label": 1, "report": size}, "it names no class"),
        (good | {"score": None, "report": size}, "it has no score"),
        (good | {"grid": [[1, 0], [1]], "report": size}, "it has no grid"),
        (good | {"grid": [], "report": size}, "it has no grid"),
        (good | {"box": [0, 0], "report": size}, "it has no box"),
        (good, "it has no size"),
    ]
    script.replies["/models/toy/explain"] = [json_reply(body) for body, _ in cases]

    details = page.evaluate(
        """async ([root, url, count]) => {
          const { Classifier } = await import(`${root}/static/classifier.js`);
          const classifier = new Classifier(url);
          const ask = () => classifier.heat("aGFsbG8=", { model: "toy" });
          const details = [];
          while (details.length < count) details.push(await ask().catch(({ detail }) => detail));
          return details;
        }""",
        [site, script.url, len(cases)],
    )

    ends = [detail.rpartition("the gateway's response: ")[2] for detail in details]
    assert ends == [f"{reason}." for _, reason in cases]


def test_503_is_asked_again_after_its_time(ask: Ask, script: Script) -> None:
    problem = {"code": "overloaded", "status": 503, "detail": "Full."}
    script.replies[PREDICT] = [
        json_reply(problem, 503, **{"Retry-After": "1"}),
        json_reply(problem, 503, **{"Retry-After": "0"}),
        json_reply(ANSWER),
    ]

    answer = ask(digit(1), url=script.url, model="toy")

    assert answer["model"] == "toy"
    assert answer["elapsedMs"] >= 1000
    assert script.paths == [PREDICT] * 3


@pytest.mark.parametrize(
    ("status", "headers", "times"),
    [
        pytest.param(503, {"Retry-After": "0"}, 3, id="always"),
        pytest.param(503, {"Retry-After": "11"}, 1, id="too long a time"),
        pytest.param(503, {}, 1, id="no time"),
        pytest.param(502, {"Retry-After": "0"}, 1, id="another status"),
    ],
)
def test_asking_again_has_bounds(
    ask: Ask, script: Script, status: int, headers: dict[str, str], times: int
) -> None:
    problem = {"code": "overloaded", "status": status, "detail": "Full."}
    script.replies[PREDICT] = [json_reply(problem, status, **headers)]

    error = ask(digit(1), url=script.url, model="toy")

    assert (error["code"], error["detail"], error["status"]) == ("overloaded", "Full.", status)
    assert len(script.requests) == times


def test_abort_ends_a_question_under_way(ask: Ask, script: Script) -> None:
    script.replies[PREDICT] = [Reply(200, b"{}", delay_s=10)]

    error = ask(digit(1), url=script.url, model="toy", abort_ms=100)

    assert (error["name"], error["ours"]) == ("TimeoutError", False)


def test_abort_ends_the_wait_before_asking_again(ask: Ask, script: Script) -> None:
    problem = {"code": "overloaded", "status": 503, "detail": "Full."}
    script.replies[PREDICT] = [json_reply(problem, 503, **{"Retry-After": "9"})]

    error = ask(digit(1), url=script.url, model="toy", abort_ms=300)

    assert error["name"] == "TimeoutError"
    assert script.paths == [PREDICT]


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_huge_photo_is_shrunk_upright(ask: Ask, script: Script, orientation: int) -> None:
    data = photo(orientation)

    answer = ask(data, "image/jpeg", url=script.url, model="toy")

    assert script.paths == ["/models/toy", PREDICT]
    assert script.requests[-1].headers["Content-Type"] == "image/jpeg"
    assert answer["sentBytes"] == len(script.requests[-1].body) < 20_000
    small = uploaded(script)
    assert small.getexif().get(ORIENTATION) is None
    assert min(small.size) == 64, "twice the model's input"
    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).resize(small.size)
    difference = np.abs(np.asarray(small, np.int16) - np.asarray(upright, np.int16))
    assert difference.mean() < 4


def test_base64_of_a_huge_photo_is_shrunk_too(ask: Ask, script: Script) -> None:
    ask(f"data:image/jpeg;base64,{base64.b64encode(photo()).decode()}", url=script.url)

    assert min(uploaded(script).size) == 64


def test_transparency_survives_the_shrinking(ask: Ask, script: Script) -> None:
    ask(draw(size=(600, 400), mode="RGBA"), url=script.url)

    assert (uploaded(script).format, uploaded(script).mode) == ("PNG", "RGBA")


@pytest.mark.parametrize(
    "options",
    [
        pytest.param({"shrink": False}, id="turned off"),
        pytest.param({"version": 7}, id="version of unknown size"),
    ],
)
def test_huge_photo_goes_up_whole(ask: Ask, script: Script, options: dict[str, Any]) -> None:
    data = photo()

    ask(data, "image/jpeg", url=script.url, model="toy", **options)

    assert script.requests[-1].body == data


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(photo()[:-200_000], id="damaged"),
        pytest.param(bytes(300_000), id="no picture"),
        pytest.param(draw(size=(60, 2000)), id="narrow"),
    ],
)
def test_what_cannot_be_shrunk_goes_up_whole(ask: Ask, script: Script, data: bytes) -> None:
    assert len(data) > 256 * 1024

    ask(data, url=script.url, model="toy")

    assert script.requests[-1].body == data


def test_small_file_goes_up_without_asking_for_the_model(ask: Ask, script: Script) -> None:
    data = draw(size=(200, 200))

    ask(data, url=script.url, model="toy")

    assert script.paths == [PREDICT]
    assert script.requests[-1].body == data


def test_canvas_that_lies_is_not_used(page: Page, ask: Ask, script: Script) -> None:
    page.evaluate(
        """OffscreenCanvasRenderingContext2D.prototype.getImageData =
        () => ({ data: crypto.getRandomValues(new Uint8ClampedArray(256)) })"""
    )
    data = photo()

    ask(data, "image/jpeg", url=script.url, model="toy")

    assert script.requests[-1].body == data


def test_model_is_asked_about_once_until_its_version_changes(ask: Ask, script: Script) -> None:
    data = photo()
    for _ in range(2):
        ask(data, "image/jpeg", url=script.url, model="toy")
    assert script.paths == ["/models/toy", PREDICT, PREDICT]

    script.replies[PREDICT] = [json_reply(ANSWER | {"version": 2})]
    for _ in range(2):
        ask(data, "image/jpeg", url=script.url, model="toy")

    assert script.paths[3:] == [PREDICT, "/models/toy", PREDICT]


def test_version_that_a_split_chooses_is_no_reason_to_ask_for_the_model_anew(
    ask: Ask, script: Script
) -> None:
    script.replies[PREDICT] = [json_reply(ANSWER | {"version": 9, "version_label": "stable"})]

    for _ in range(3):
        ask(photo(), "image/jpeg", url=script.url, model="toy")

    assert script.paths == ["/models/toy", PREDICT, PREDICT, PREDICT]


def test_shrunk_photo_gets_the_same_label(ask: Ask) -> None:
    with Image.open(IMAGES / "digit_9.png") as image:
        grey = np.asarray(image.convert("L").resize((1200, 1200)), np.int16)
    grain = np.random.default_rng(9).integers(-12, 12, grey.shape)
    noisy = Image.fromarray((grey + grain).clip(0, 255).astype(np.uint8))
    large = saved(noisy, "JPEG", quality=95)
    assert len(large) > 256 * 1024

    small, whole = ask(large, "image/jpeg"), ask(large, "image/jpeg", shrink=False)

    assert small["sentBytes"] < whole["sentBytes"] / 10
    best, same = small["predictions"][0], whole["predictions"][0]
    assert best["label"] == same["label"] == "9"
    assert best["score"] == pytest.approx(same["score"], abs=0.05)
