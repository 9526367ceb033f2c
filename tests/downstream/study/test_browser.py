"""The study in Debian's headless chromium, used by scripted participants.

Skipped where there is no chromium (``apt-get install chromium``; ``.ci/run`` does that) or no playwright.
"""

import re
import shutil
from base64 import b64decode
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from runpy import run_path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from PIL import Image
from study_client import write_study

from downstream.study.answers import HIDDEN, TOO_LONG, TWICE, Answer, read_answers
from downstream.study.design import KINDS, StudyConfig, schedule
from downstream.study.figure import draw_results
from downstream.study.folder import Study, describe
from downstream.study.results import study_results
from downstream.study.results_page import write_results_page
from downstream.study.serving import ServedStudy, listen

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (the extra dev)")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed (the extra dev)")
Browser, Page = playwright.Browser, playwright.Page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")

SCRIPT = Path(__file__).parents[3] / "benchmarks" / "scripted_participants.py"
DESKTOP, PHONE = {"width": 1000, "height": 800}, {"width": 375, "height": 700}
CHOOSING = "#choices button:enabled"


@pytest.fixture(scope="module")
def scripted() -> SimpleNamespace:
    return SimpleNamespace(**run_path(str(SCRIPT), run_name="imported"))


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    with playwright.sync_playwright() as running:
        started = running.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return write_study(tmp_path / "study", StudyConfig(trials=12, checks=4, exposure=0.1))


@pytest.fixture
def served(study: Study) -> Iterator[ServedStudy]:
    with listen(study, port=0).in_background() as started:
        yield started


@pytest.fixture
def page(browser: "Browser", served: ServedStudy) -> Iterator["Page"]:
    yield from open_checked(browser, served.link)


def open_checked(browser: "Browser", link: str, **options: Any) -> Iterator["Page"]:
    """Open a page in a new browser; messages on its console and requests elsewhere fail the test."""
    context = browser.new_context(**{"viewport": DESKTOP, **options})
    opened = context.new_page()
    opened.set_default_timeout(20_000)
    complaints: list[str] = []
    requests: list[str] = []
    expected = re.compile("status of (401|409)|ERR_INTERNET_DISCONNECTED")  # not joined; refused; offline by the test
    opened.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on("request", lambda request: requests.append(request.url))
    yield opened
    context.close()
    assert [text for text in complaints if not expected.search(text)] == []
    assert [url for url in requests if not url.startswith(link)] == []


def join(page: "Page", link: str) -> None:
    page.goto(link)
    page.locator("#consent").check()
    page.locator("#start").click()
    page.wait_for_selector("#ready:enabled")


def answers(study: Study) -> list[Answer]:
    return [answer for _, _, stored in read_answers(study.answers) for answer in stored]


def test_an_oracle_a_coin_and_one_who_presses_left(
    browser: "Browser", study: Study, served: ServedStudy, scripted: SimpleNamespace
) -> None:
    for decide in (scripted.oracle, scripted.coin(1), scripted.always_left):
        for page in open_checked(browser, served.link):
            assert scripted.click_through(page, served.link, study, decide) == 16
    (_, _, knowing), (_, _, guessing), (_, _, left) = read_answers(study.answers)
    assert {len(stored) for stored in (knowing, guessing, left)} == {16}
    right = scripted.oracle
    assert all(answer.choice == right(answer.trial) for answer in knowing)
    expected = scripted.coin(1)
    assert [answer.choice for answer in guessing] == [expected(trial) for trial in (each.trial for each in guessing)]
    assert {answer.choice for answer in left} == {0}
    assert all(0 < answer.response < 60_000 for answer in answers(study))
    # a busy machine may draw a frame late: such a trial is marked, and all others are correct to one frame
    valid = [answer for answer in answers(study) if not answer.marks]
    assert all(answer.marks in ((), (TOO_LONG,)) for answer in answers(study))
    assert len(valid) >= 0.5 * 48
    assert all(abs(answer.exposure - 100) <= 18 for answer in valid)
    if len(valid) < 48:
        return
    results = study_results(study)
    assert [row["fooling"]["value"] for row in results["scores_of_everyone"]] == [
        np.mean([right(each.trial) != each.choice for each in answers(study) if method in each.trial.shown])
        for method in "012"
    ]
    # the last one is correct in half the pairs and half the checks: its habit and its failed checks exclude it
    (reasons,) = [each["reasons"] for each in results["excluded"] if each["participant"] == 2]
    assert reasons == ["passed 2 of 4 attention checks", "always the same button"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_known_participants_give_the_expected_results(
    browser: "Browser", tmp_path: Path, kind: str, scripted: SimpleNamespace
) -> None:
    """Check two oracles, two who err in a fifth of the trials, two coins and one who always presses left."""
    study = write_study(tmp_path / "study", StudyConfig(kind=kind, trials=36, checks=4, exposure=0.1))
    crowd = [scripted.oracle] * 2 + [*make_deciders(scripted), scripted.always_left]
    with listen(study, port=0).in_background() as served:
        for decide in crowd:
            for page in open_checked(browser, served.link):
                assert scripted.click_through(page, served.link, study, decide) == 40
    measured = scripted.exposures(study)
    print(kind, measured)
    assert measured["trials"] == 40 * len(crowd)
    assert measured["within_one_frame"] >= 0.95
    results = study_results(study)
    assert results["answers"] == 40 * len(crowd)
    assert 6 in [each["participant"] for each in results["excluded"]]
    assert not {each["participant"] for each in results["excluded"]} & set(range(4))
    # each participant gave the same answers, trial by trial, as without a browser
    for (_, _, stored), decide in zip(
        read_answers(study.answers), [*crowd[:2], *make_deciders(scripted), crowd[-1]], strict=True
    ):
        assert [answer.choice for answer in stored] == [decide(answer.trial) for answer in stored]
    everyone = results["scores_of_everyone"]
    if kind == "psychophysical":  # the first one: 2 always, 2 in four fifths of the trials, the others in a third
        assert everyone[0]["preference"]["value"] == pytest.approx((2 + 2 * 0.8 + 3 / 3) / 7, abs=0.05)
        assert sum(row["preference"]["value"] for row in everyone) == pytest.approx(1)
    else:  # never; in a fifth of the trials; in half of them; left: half of pairs, and every single one is "real"
        left = 0.5 if kind == "turing" else 1.0
        fooled = np.mean([row["fooling"]["value"] for row in everyone])
        assert fooled == pytest.approx((2 * 0.2 + 2 * 0.5 + left) / 7, abs=0.05)
    if kind == "realism":  # F: 1, 0.8, about 0.5, 0
        mean = np.mean([row["realism"]["value"] for row in everyone])
        assert mean == pytest.approx(2 - 2 * (2 + 2 * 0.8 + 2 * 0.5) / 7, abs=0.1)


def make_deciders(scripted: SimpleNamespace) -> list[Any]:
    return [scripted.mistaken(0.2, seed) for seed in range(2)] + [scripted.coin(seed) for seed in range(2)]


def test_images_are_shown_and_then_noise(study: Study, served: ServedStudy, page: "Page") -> None:
    join(page, served.link)

    def visible(layer: str) -> list[bool]:
        return [
            each.evaluate("node => getComputedStyle(node).visibility") == "visible"
            for each in page.locator(f".{layer}").all()
        ]

    trial = schedule(study.config, 3, 0)[0]
    assert visible("picture") == visible("mask") == [False, False]
    for position, canvas in enumerate(page.locator(".picture").all()):  # drawn before the images are shown
        drawn = np.asarray(
            Image.open(BytesIO(b64decode(canvas.evaluate("node => node.toDataURL()").partition(",")[2])))
        )
        assert (drawn[..., :3] == np.asarray(Image.open(study.image(trial, position)))).all()
        assert canvas.bounding_box()["width"] > 200
    page.evaluate(
        "new MutationObserver(() => { window.seen = (window.seen ?? '') + stage.dataset.phase + ' '; })"
        ".observe(stage, {attributes: true, attributeFilter: ['data-phase']})"
    )
    page.keyboard.press("Space")
    page.wait_for_selector(CHOOSING)
    assert page.evaluate("window.seen") == "shown masked "
    assert visible("picture") == [False, False]
    assert visible("mask") == [True, True]
    page.keyboard.press("ArrowRight")
    page.wait_for_selector("#trial[data-place='1'] #ready:enabled")
    assert [answer.choice for answer in answers(study)] == [1]


def test_a_hidden_page_and_a_late_frame_are_marked(study: Study, served: ServedStudy, page: "Page") -> None:
    join(page, served.link)
    hide = (
        "Object.defineProperty(document, 'hidden', {get: () => window.away, configurable: true}); window.away = false"
    )
    page.evaluate(hide)
    page.evaluate(
        "new MutationObserver(() => { if (stage.dataset.phase === 'shown' && trial.place === 0) {"
        " window.away = true; document.dispatchEvent(new Event('visibilitychange')); window.away = false; }"
        " if (stage.dataset.phase === 'shown' && trial.place === 1) {"
        " const end = performance.now() + 400; while (performance.now() < end); } })"
        ".observe(stage, {attributes: true, attributeFilter: ['data-phase']})"
    )
    for place in range(2):
        page.keyboard.press("Space")
        page.wait_for_selector(CHOOSING)
        page.wait_for_timeout(150)  # answers before the images were seen are refused
        page.keyboard.press("1")
        page.wait_for_selector(f"#trial[data-place='{place + 1}'] #ready:enabled")
    away, late = answers(study)
    assert HIDDEN in away.marks
    assert away.exposure < 90
    assert late.marks == (TOO_LONG,)
    assert late.exposure > 300


def test_a_second_look_by_reloading_is_marked(study: Study, served: ServedStudy, page: "Page") -> None:
    join(page, served.link)
    page.reload()
    page.wait_for_selector("#ready:enabled")
    page.keyboard.press("Space")
    page.wait_for_selector(CHOOSING)
    page.reload()
    page.wait_for_selector("#ready:enabled")
    page.keyboard.press("Space")
    page.wait_for_selector(CHOOSING)
    page.keyboard.press("2")
    page.wait_for_selector("#trial[data-place='1'] #ready:enabled")
    (answer,) = answers(study)
    assert TWICE in answer.marks


def test_an_answer_waits_for_the_connection(study: Study, served: ServedStudy, page: "Page") -> None:
    join(page, served.link)
    page.keyboard.press("Space")
    page.wait_for_selector(CHOOSING)
    page.context.set_offline(True)
    page.keyboard.press("1")
    page.wait_for_selector("#note:has-text('cannot be reached')")
    assert answers(study) == []
    page.context.set_offline(False)
    page.wait_for_selector("#trial[data-place='1'] #ready:enabled")
    assert [answer.choice for answer in answers(study)] == [0]


def test_a_participant_stops_and_continues_elsewhere(
    browser: "Browser", study: Study, served: ServedStudy, page: "Page"
) -> None:
    join(page, served.link)
    page.keyboard.press("Space")
    page.locator("#choices button").nth(1).click()
    page.wait_for_selector("#trial[data-place='1'] #ready:enabled")
    page.locator("#stop").click()
    page.wait_for_selector("#stopped:not([hidden])")
    code = page.locator("#kept").inner_text()
    assert re.fullmatch("([0-9A-Z]{4}-){3}[0-9A-Z]{4}", code)
    page.reload()
    page.locator("#start").wait_for()
    for elsewhere in open_checked(browser, served.link):
        elsewhere.goto(served.link)
        elsewhere.locator("#code").fill("wrong")
        elsewhere.keyboard.press("Enter")
        elsewhere.get_by_text("no such code").wait_for()
        elsewhere.locator("#code").fill(code.lower())
        elsewhere.keyboard.press("Enter")
        elsewhere.wait_for_selector("#trial[data-place='1'] #ready:enabled")
        assert elsewhere.locator("#count").inner_text() == "Round 2 of 16"


def test_a_touch_screen_is_enough(browser: "Browser", study: Study, served: ServedStudy) -> None:
    for page in open_checked(browser, served.link, viewport=PHONE, has_touch=True, is_mobile=True):
        page.goto(served.link)
        page.locator("#consent").tap()
        page.locator("#start").tap()
        for place in range(2):
            page.wait_for_selector(f"#trial[data-place='{place}'] #ready:enabled")
            page.locator("#ready").tap()
            page.wait_for_selector(CHOOSING)
            (page.locator("#choices button").nth(1) if place else page.locator(".cell").nth(0)).tap()
        page.wait_for_selector("#trial[data-place='2'] #ready:enabled")
        assert page.locator(".keys").is_hidden()
    assert [answer.choice for answer in answers(study)] == [0, 1]


@pytest.mark.parametrize(
    ("kind", "size", "scheme"),
    [
        ("turing", DESKTOP, "light"),
        ("turing", PHONE, "dark"),
        ("psychophysical", PHONE, "light"),
        ("realism", DESKTOP, "dark"),
    ],
    ids=["two", "two on a phone", "four on a phone", "one"],
)
def test_the_pages_are_accessible_and_fit_the_screen(
    browser: "Browser", tmp_path: Path, kind: str, size: dict[str, int], scheme: str
) -> None:
    study = write_study(tmp_path / "study", StudyConfig(kind=kind, trials=1, checks=0, exposure=0.05), methods=4)
    with listen(study, port=0).in_background() as served:
        for page in open_checked(browser, served.link, viewport=size, color_scheme=scheme):

            def check(section: str, page: "Page" = page) -> None:
                page.wait_for_selector(f"#{section}:not([hidden])")
                assert page.locator("main > section:visible").count() == 1
                assert page.evaluate("document.documentElement.scrollWidth") <= size["width"], section
                found = axe.Axe().run(page).response["violations"]
                grave = [each["id"] for each in found if each["impact"] in ("serious", "critical")]
                assert grave == [], [node["html"][:200] for each in found for node in each["nodes"]]
                background = page.evaluate("getComputedStyle(document.body).backgroundColor")
                light = sum(map(int, re.findall(r"\d+", background)[:3])) > 380
                assert light == (scheme == "light")

            page.goto(served.link)
            check("welcome")
            join(page, served.link)
            check("trial")
            boxes = [each.bounding_box() for each in page.locator(".picture").all()]
            assert len({box["y"] for box in boxes if box}) == 1, "not side by side"
            assert all(box and box["y"] + box["height"] < size["height"] for box in boxes), "one has to scroll"
            page.keyboard.press("Space")
            page.wait_for_selector(CHOOSING)
            check("trial")
            page.locator("#stop").click()
            check("stopped")
            page.locator("#back").click()
            page.locator("#code").fill(page.evaluate("code"))
            page.keyboard.press("Enter")
            page.wait_for_selector("#ready:enabled")
            page.keyboard.press("Space")
            page.wait_for_selector(CHOOSING)
            page.keyboard.press("1")
            check("done")


def test_keys_alone_are_enough(study: Study, served: ServedStudy, page: "Page") -> None:
    page.goto(served.link)
    page.wait_for_selector("#welcome:not([hidden])")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector("#ready:enabled")
    assert page.evaluate("document.activeElement.id") == "ready"
    page.keyboard.press("Enter")
    page.wait_for_selector(CHOOSING)
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector("#trial[data-place='1'] #ready:enabled")
    assert [answer.choice for answer in answers(study)] == [1]


def test_the_results_page_is_accessible(browser: "Browser", study: Study, tmp_path: Path) -> None:
    numbers = {"value": 0.25, "low": 0.1, "high": 0.4}
    row = {"method": "cgml", "answers": 40, "fooling": numbers, "chance": 0.5}
    results = describe(study) | {
        "participants": 3, "finished": 2, "excluded": [{"participant": 1, "reasons": ["always the same button"]}],
        "answers": 40, "answers_that_count": 30, "answers_left_out": {TOO_LONG: 2},
        "attention_checks": {"passed": 5, "given": 6}, "agreement": {"krippendorff_alpha": 0.1, "items": 9},
        "scores": [row], "scores_of_everyone": [row],
    }  # fmt: skip
    draw_results(tmp_path / "results.png", results)
    write_results_page(tmp_path / "results.html", results, tmp_path / "results.png")
    link = (tmp_path / "results.html").as_uri()
    for scheme in ("light", "dark"):
        context = browser.new_context(viewport=PHONE, color_scheme=scheme)
        opened = context.new_page()
        opened.goto(link)
        assert opened.evaluate("document.images[0].naturalWidth") > 400
        assert opened.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        found = axe.Axe().run(opened).response["violations"]
        assert [each["id"] for each in found if each["impact"] in ("serious", "critical")] == []
        context.close()
