"""The report in Debian's headless chromium: turning, sorting and pointing, by mouse, finger and keys.

Skipped where there is no chromium (``apt-get install chromium``; ``.ci/run`` does that) or no playwright.
"""

import re
import shutil
from base64 import b64decode
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

import spectral_ssl
from pretext.runs.trained_run import TrainedRun

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed (the extra dev)")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed (the extra dev)")
Browser, Page = playwright.Browser, playwright.Page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")

ARGUMENTS = ["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist"]
DESKTOP, PHONE = {"width": 1200, "height": 900}, {"width": 375, "height": 800}


@pytest.fixture(scope="module")
def running() -> Iterator["playwright.Playwright"]:
    with playwright.sync_playwright() as started:
        yield started


@pytest.fixture(scope="module")
def browser(running: "playwright.Playwright") -> Iterator["Browser"]:
    started = running.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
    yield started
    started.close()


@pytest.fixture
def opened(browser: "Browser", full_report: Path) -> Iterator["Page"]:
    """Open the report in a new page; messages on the console and requests beyond the file fail the test."""
    context = browser.new_context(viewport=DESKTOP)
    yield from open_checked(context, full_report)


def open_checked(context: "playwright.BrowserContext", path: Path) -> Iterator["Page"]:
    page = context.new_page()
    page.set_default_timeout(20_000)
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    requests: list[str] = []
    page.goto(path.as_uri())
    yield page
    assert page.evaluate("window.broken") is None
    context.close()
    assert complaints == []
    assert [url for url in requests if not url.startswith("data:")] == [path.as_uri()]


def shown(page: "Page", canvas: "playwright.Locator") -> NDArray[np.uint8]:
    """Return the pixels (H, W, 4) of a canvas, once it is drawn."""
    canvas.scroll_into_view_if_needed()
    page.wait_for_function("canvas => canvas.shape !== undefined", arg=canvas.element_handle())
    page.wait_for_timeout(150)  # a frame later it is drawn
    return pixels_of(canvas)


def turn_by_keys(page: "Page", surface: "playwright.Locator") -> None:
    """Check that each key changes the view, and press Home to reset it."""
    surface.focus()
    for key in ("ArrowLeft", "ArrowUp", "+"):
        before = shown(page, surface)
        page.keyboard.press(key)
        assert (shown(page, surface) != before).any(), key
    page.keyboard.press("Home")


def pixels_of(canvas: "playwright.Locator") -> NDArray[np.uint8]:
    content = b64decode(canvas.evaluate("canvas => canvas.toDataURL()").partition(",")[2])
    return np.asarray(Image.open(BytesIO(content)).convert("RGBA"))


def test_shapes_are_turned_by_mouse_and_keys_and_their_group_with_them(opened: "Page") -> None:
    cloud, surface = (opened.locator("#objects .pair").first.locator("canvas").nth(number) for number in (0, 1))
    first, others = shown(opened, cloud), shown(opened, surface)
    assert (first[..., 3] > 0).sum() > 50  # a cloud is drawn
    assert (others[..., 3] > 0).sum() > 2000
    box = surface.bounding_box()
    assert box is not None
    opened.mouse.move(box["x"] + 60, box["y"] + 60)
    opened.mouse.down()
    opened.mouse.move(box["x"] + 110, box["y"] + 75, steps=4)
    opened.mouse.up()
    dragged = shown(opened, surface)
    assert (dragged != others).any()
    assert (shown(opened, cloud) != first).any()
    # without a pressed button the view does not change
    opened.mouse.move(box["x"] + 20, box["y"] + 20, steps=2)
    assert (shown(opened, surface) == dragged).all()
    turn_by_keys(opened, surface)
    assert (shown(opened, surface) == others).all()
    # other groups do not turn: the keys turn the group with the focus
    predictions = opened.locator("#answers .forms").first.locator("canvas")
    assert predictions.count() == 5  # input, three predictions, ground truth
    still = shown(opened, predictions.first)
    surface.focus()
    opened.keyboard.press("ArrowRight")
    assert (shown(opened, predictions.first) == still).all()


def test_a_finger_turns_shapes(browser: "Browser", full_report: Path) -> None:
    context = browser.new_context(viewport=PHONE, has_touch=True, is_mobile=True)
    for page in open_checked(context, full_report):
        canvas = page.locator("#objects canvas").first
        before = shown(page, canvas)
        box = canvas.bounding_box()
        assert box is not None
        x, y = box["x"] + 30, box["y"] + 60
        client = context.new_cdp_session(page)
        client.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": x, "y": y}]})
        for step in range(1, 6):
            point = {"x": x + 15 * step, "y": y}
            client.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [point]})
        client.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
        assert (shown(page, canvas) != before).any()


def test_without_webgl_the_points_are_drawn_and_turned(running: "playwright.Playwright", full_report: Path) -> None:
    plain = running.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-3d-apis"])
    page = plain.new_page()
    page.goto(full_report.as_uri())
    assert page.evaluate("document.createElement('canvas').getContext('webgl')") is None
    canvas = page.locator("#objects canvas").first
    before = shown(page, canvas)
    assert (before[..., 3] > 0).sum() > 50
    canvas.focus()
    page.keyboard.press("ArrowLeft")
    assert (shown(page, canvas) != before).any()
    plain.close()


def test_tables_are_sorted_by_click_and_key(opened: "Page") -> None:
    table = opened.locator("#summary table.sortable").first
    titles = table.locator("thead th").all_inner_texts()
    column = next(number for number, title in enumerate(titles) if title.startswith("linear probe"))
    cells = table.locator(f"tbody tr td:nth-child({column + 1})")
    title = table.locator("thead th").nth(column)
    original = cells.all_inner_texts()
    title.locator("button").click()
    assert title.get_attribute("aria-sort") == "ascending"
    rising = [float(text.split()[0]) for text in cells.all_inner_texts()]
    assert rising == sorted(rising)
    title.locator("button").focus()
    opened.keyboard.press("Enter")
    assert title.get_attribute("aria-sort") == "descending"
    assert [float(text.split()[0]) for text in cells.all_inner_texts()] == rising[::-1]
    table.locator("thead th").first.locator("button").click()
    assert title.get_attribute("aria-sort") is None
    names = table.locator("tbody th").all_inner_texts()
    assert names == sorted(names, key=str.lower)
    assert sorted(cells.all_inner_texts()) == sorted(original)


def test_pointing_at_an_item_shows_it(opened: "Page") -> None:
    chart = opened.locator(".embedding > svg")
    chart.scroll_into_view_if_needed()
    card = opened.locator(".embedding .card")
    assert not card.is_visible()
    item = chart.locator(".item").nth(7)
    box = item.bounding_box()
    assert box is not None
    opened.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    assert card.is_visible()
    assert "<script>window.broken = true</script>/" in card.inner_text()
    assert len(np.unique(pixels_of(card.locator("canvas")).reshape(-1, 4), axis=0)) > 3
    frame = chart.bounding_box()
    assert frame is not None
    opened.mouse.move(frame["x"] + 1, frame["y"] + frame["height"] + 30)
    assert not card.is_visible()


def test_items_are_reached_by_keys(opened: "Page") -> None:
    chart, card = opened.locator(".embedding > svg"), opened.locator(".embedding .card")
    opened.locator("#rank summary").last.focus()
    opened.keyboard.press("Tab")
    assert opened.evaluate("document.activeElement.matches('.embedding > svg')")
    assert card.is_visible()
    texts = {card.inner_text()}
    for key in ("ArrowRight", "ArrowRight", "ArrowDown", "ArrowLeft", "ArrowUp"):
        opened.keyboard.press(key)
        texts.add(card.inner_text())
    assert len(texts) > 2
    ring = chart.locator(".ring")
    assert float(ring.get_attribute("cx") or -1) > 0
    opened.keyboard.press("Escape")
    assert not card.is_visible()


def test_a_button_shows_one_class_only(opened: "Page") -> None:
    buttons = opened.locator("#embedding div.legend button")
    assert buttons.count() == 3
    buttons.nth(1).click()
    assert buttons.nth(1).get_attribute("aria-pressed") == "true"
    faded = opened.locator(".embedding .item.faded").count()
    assert 0 < faded < opened.locator(".embedding .item").count()
    buttons.nth(1).click()
    assert opened.locator(".embedding .item.faded").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_the_page_is_accessible_and_fits_the_screen(
    browser: "Browser", full_report: Path, scheme: str, size: dict[str, int]
) -> None:
    context = browser.new_context(viewport=size, color_scheme=scheme)
    for page in open_checked(context, full_report):
        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
        page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
        assert page.evaluate("document.documentElement.scrollWidth") <= size["width"]
        violations = axe.Axe().run(page).response["violations"]
        grave = [
            (each["id"], [node["html"][:200] for node in each["nodes"][:3]])
            for each in violations
            if each["impact"] in ("serious", "critical")
        ]
        assert grave == []
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
        light = sum(map(int, re.findall(r"\d+", background)[:3])) > 380
        assert light == (scheme == "light")


def test_other_scripts_do_not_run(browser: "Browser", full_report: Path) -> None:
    page = browser.new_page()
    page.goto(full_report.as_uri())
    page.evaluate(
        "const added = document.createElement('script'); added.textContent = 'window.added = 1';"
        "document.body.append(added); document.body.setAttribute('onclick', 'window.added = 2'); document.body.click()"
    )
    assert page.evaluate("window.added") is None
    page.close()


def test_without_scripts_everything_can_be_read(browser: "Browser", full_report: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(full_report.as_uri())
    assert "trained network" in page.locator("#summary table").first.inner_text()
    assert page.locator(".embedding .item").count() == 60
    assert page.locator("#neighbours img").first.is_visible()
    assert "Without scripts" in page.locator("noscript").inner_text()
    context.close()


@pytest.fixture(scope="module")
def both(run: TrainedRun) -> Path:
    """Write a comparison of the run with itself."""
    return spectral_ssl.report(compare=[run, run], out=run.folder.parent / "both.html")


def test_shapes_of_a_comparison_are_turned_by_mouse_and_keys(browser: "Browser", both: Path) -> None:
    assert both.stat().st_size < 10_000_000
    context = browser.new_context(viewport=DESKTOP)
    for page in open_checked(context, both):
        rows = page.locator("#answers .forms")
        assert rows.count() == 3
        captions = [text.rpartition(": ")[2] for text in rows.first.locator("figcaption").all_inner_texts()]
        assert captions[:2] == ["input", "ground truth"]
        predictions = ["prediction 1", "prediction 2", "prediction 3"]
        assert [text.rpartition(", ")[2] for text in captions[2:]] == 2 * predictions
        first, last = rows.first.locator("canvas").nth(2), rows.first.locator("canvas").last
        of_one_run, of_the_other = shown(page, first), shown(page, last)
        assert (of_one_run[..., 3] > 0).sum() > 2000
        assert (of_one_run != shown(page, rows.first.locator("canvas").nth(1))).any()  # another shape
        below = shown(page, rows.nth(1).locator("canvas").first)
        first.scroll_into_view_if_needed()
        box = first.bounding_box()
        assert box is not None
        page.mouse.move(box["x"] + 40, box["y"] + 40)
        page.mouse.down()
        page.mouse.move(box["x"] + 80, box["y"] + 55, steps=4)
        page.mouse.up()
        assert (shown(page, first) != of_one_run).any()
        assert (shown(page, last) != of_the_other).any()  # the predictions of the other run turn too
        assert (shown(page, rows.nth(1).locator("canvas").first) == below).all()
        turn_by_keys(page, last)
        assert (shown(page, first) == of_one_run).all()
        found = axe.Axe().run(page).response["violations"]
        assert [each["id"] for each in found if each["impact"] in ("serious", "critical")] == []


def test_a_comparison_and_a_short_report_open_as_well(browser: "Browser", run: TrainedRun, both: Path) -> None:
    for path in (both, run.folder / "report.html"):
        context = browser.new_context(viewport=PHONE, color_scheme="dark")
        for page in open_checked(context, path):
            assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
            assert page.locator("h2").count() >= 5
            page.locator("table.sortable button").first.click()
            found = axe.Axe().run(page).response["violations"]
            assert [each["id"] for each in found if each["impact"] in ("serious", "critical")] == []
