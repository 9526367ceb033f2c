import re
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path

import pytest
from conftest import write_random_maps

import spectral_ssl
from data_prep.basis import pixel_basis
from downstream.report import page
from downstream.report.evidence import choose_item_rows, gather
from downstream.report.page import is_full_report, is_report, write_page
from downstream.report.sections.catalogue import SECTIONS
from downstream.report.templating import read_asset
from pretext.runs.trained_run import TrainedRun
from spectral_ssl.ground.errors import UserError

# as written in docs/report.md, from the npm release twgl.js 7.0.0
TWGL = "bc94a897aa369db1af4b32b33d069ad92aa1032688dfec4ace0656eca404b032"


class Elements(HTMLParser):
    """Collects all start tags with their attributes, and the text of each script and style."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.inside: list[tuple[str, dict[str, str | None], str]] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1][0] in ("script", "style"):
            self.inside.append((*self.tags[-1], data))


@pytest.fixture(scope="module")
def text(full_report: Path) -> str:
    return full_report.read_text(encoding="utf-8")


def test_every_section_is_there_and_linked_to(text: str) -> None:
    elements = Elements(text)
    ids = [attributes["id"] for tag, attributes in elements.tags if tag == "section"]
    assert ids == list(SECTIONS)
    links = {attributes["href"] for tag, attributes in elements.tags if tag == "a"}
    assert {f"#{name}" for name in ids} <= links


def test_a_human_study_is_shown_with_its_intervals(text: str) -> None:
    section = text[text.index('id="human-studies"') :]
    section = section[: section.index("</section>")]
    assert "turing: 10 participants, 2 excluded; &lt;img" in section
    assert "0.225 (0.075 to 0.400)" in section


def test_names_from_outside_make_no_elements(text: str) -> None:
    elements = Elements(text)
    tags = {tag for tag, _ in elements.tags}
    assert not tags & {"b", "i"}
    assert not [attributes for _, attributes in elements.tags if any(name.startswith("on") for name in attributes)]
    assert "window.broken" in text  # as a text
    for tag, attributes, data in elements.inside:
        if tag == "script" and attributes.get("type") == "application/json":
            assert "<" not in data


def test_the_policy_allows_only_scripts_with_known_digests(text: str) -> None:
    elements = Elements(text)
    (policy,) = [a["content"] for tag, a in elements.tags if a.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy
    assert not re.search(r"https?:", policy)
    bodies: dict[int, tuple[str, str]] = {}
    for match in re.finditer(r"<(script|style)>(.*?)</\1>", text, re.DOTALL):
        bodies[match.start()] = (match[1], match[2])
    assert len(bodies) == 1 + len(page.SCRIPTS)
    for kind, body in bodies.values():
        digest = b64encode(sha256(body.encode()).digest()).decode()
        assert re.search(rf"{kind}-src [^;]*'sha256-{re.escape(digest)}'", policy)
    # the policy would refuse other attributes, and nothing comes from elsewhere
    for _, attributes in elements.tags:
        assert "style" not in attributes
        assert str(attributes.get("src", "data:")).startswith("data:")
        assert str(attributes.get("href", "#")).startswith("#")


def test_the_library_is_the_released_one() -> None:
    content = files("downstream.report").joinpath("assets", "twgl.js").read_bytes()
    assert sha256(content).hexdigest() == TWGL
    manual = Path(__file__).parents[3] / "docs" / "report.md"
    assert TWGL in manual.read_text(encoding="utf-8")
    licence = read_asset("twgl-LICENSE.md")
    assert "MIT" in licence or "Permission is hereby granted" in licence


def test_a_page_that_is_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "LARGEST", 400_000)
    with pytest.raises(UserError, match="large"):
        write_page(tmp_path / "page.html", "title", {"one": ("One", page.Markup("x" * 400_000))})
    assert not list(tmp_path.iterdir())
    write_page(tmp_path / "page.html", "title", {"one": ("One", page.Markup("x" * 1000))})
    assert is_report(tmp_path / "page.html")


@pytest.mark.slow
def test_the_largest_data_stays_under_ten_megabytes(tmp_path: Path) -> None:
    """Report 2000 colour images of noise, which cannot be compressed."""
    maps = write_random_maps(tmp_path / "maps.h5", pixel_basis(3, 64, 64), train=1200, test=1200, classes=40)
    tiny = ("width=4", "code=8", "hidden=8", "steps=2", "watch=0")
    run = spectral_ssl.pretrain(maps, recipe="inpaint", epochs=0, settings=tiny, out=tmp_path / "run")
    path = spectral_ssl.report(run)
    assert path.stat().st_size < 10_000_000


def test_the_report_of_the_run_is_small(full_report: Path) -> None:
    assert full_report.stat().st_size < 10_000_000


def test_a_short_report_does_not_run_the_network(run: TrainedRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(TrainedRun, "encode_file", lambda *_: pytest.fail("encoded"))
    monkeypatch.setattr(TrainedRun, "complete", lambda *_: pytest.fail("predicted"))
    evidence = gather(run, full=False)
    shown = {name for name, (_, section) in SECTIONS.items() if section(evidence) is not None}
    from_files = {
        "summary",
        "learning",
        "human-studies",
        "confusion",
        "failures",
        "settings",
        "environment",
        "reproduce",
    }
    assert shown == from_files


def test_a_report_without_data_says_so(run: TrainedRun, tmp_path: Path) -> None:
    clouds = Path(run.plan.data)
    clouds.rename(tmp_path / "away.h5")
    try:
        text = spectral_ssl.report(run, out=tmp_path / "report.html").read_text(encoding="utf-8")
    finally:
        (tmp_path / "away.h5").rename(clouds)
    assert "The data are missing" in text
    assert 'id="embedding"' not in text
    assert 'id="confusion"' in text


def test_a_full_report_names_its_checkpoint(full_report: Path, run: TrainedRun) -> None:
    assert is_full_report(full_report, run.checkpoint_digest)
    assert not is_full_report(full_report, "another")
    assert not is_full_report(run.folder / "report.html", run.checkpoint_digest)  # the short report of `probe`


def test_items_come_from_both_splits_evenly(run: TrainedRun) -> None:
    maps = gather(run, full=False).maps
    assert maps is not None  # 40 training and 20 test maps
    assert (choose_item_rows(maps) == maps.rows()).all()
    some = choose_item_rows(maps, 30)
    assert len(some) == 30
    assert (maps.splits[some] == "test").sum() == 15
    most = choose_item_rows(maps, 58)
    assert len(most) == 58
    assert (maps.splits[most] == "test").sum() == 20
