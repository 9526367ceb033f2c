"""The parts of sections: tables, charts, images, shapes, commands."""

import json
import re
import shlex
from base64 import b64decode
from io import BytesIO
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import spectral_ssl
from data_prep.basis import zernike_basis
from data_prep.layout import find_valid_cells
from data_prep.maps.reader import open_maps
from data_prep.pipeline.shape_to_map import clouds_to_maps
from data_prep.source import Shape
from downstream.report import comparison
from downstream.report.commands import build_prep_command, build_pretrain_command, build_probe_command
from downstream.report.images import arrange_sheet, draw_cloud, encode_png, render_map, render_pixels
from downstream.report.line_chart import draw_line_chart
from downstream.report.sections.data.spectra import _estimate_noise
from downstream.report.sections.features.embedding import project_to_plane
from downstream.report.table import Score, Table, format_cell, sort_key
from downstream.report.templating import render_table
from downstream.report.turnable_shapes import MOST_TRIANGLES, REACH, rebuild_surfaces, render_canvas
from pretext.methods.catalogue import METHODS
from pretext.runs.plan import Plan
from pretext.runs.trained_run import TrainedRun
from pretext.tasks.catalogue import TASKS
from pretext.training.config import TrainConfig
from spectral_ssl.ground.config import build_config


def test_cells_are_rounded_but_sorted_by_all_digits() -> None:
    assert (format_cell(0.123456), sort_key(0.123456)) == ("0.1235", "0.123456")
    assert (format_cell(None), sort_key(None)) == ("–", "")
    assert (format_cell(float("nan")), sort_key(float("nan"))) == ("–", "")
    assert (format_cell(True), sort_key(True)) == ("yes", "")
    assert (format_cell(Score(0.5, "0.5 ± 0.1")), sort_key(Score(0.5, "0.5 ± 0.1"))) == ("0.5 ± 0.1", "0.5")
    html = render_table(Table(caption="<&>", columns=["a<b"], rows=[["<script>"]]))
    assert "&lt;&amp;&gt;" in html
    assert "<script>" not in html


def test_a_chart_draws_and_lists_every_point() -> None:
    html = draw_line_chart(
        "title", "epoch", "loss", {"one": [(0, 1.0), (10, 3.0)], "two": [(0, 2.0), (5, float("nan"))]}
    )
    assert html is not None
    points = re.findall(r'points="([^"]+)"', html)
    assert len(points) == 1  # a single point is a dot without a line
    (first, last) = [tuple(map(float, pair.split(","))) for pair in points[0].split()]
    assert first[0] < last[0]
    assert first[1] > last[1]  # pixels count downwards
    assert html.count("<circle") == 3
    assert re.findall(r"<tr>", html).__len__() == 3  # the title and x = 0, 10


def test_a_chart_of_nothing_is_none_and_of_one_value_has_an_axis() -> None:
    assert draw_line_chart("t", "x", "y", {"one": [], "two": [(0, float("inf"))]}) is None
    assert draw_line_chart("t", "x", "y", {"one": [(1, 0.0)]}, log=True) is None
    for value in (0.0, 5.0, -1e-30, 1e300):
        html = draw_line_chart("t", "x", "y", {"one": [(1, value), (2, value)]})
        assert html is not None
        assert "nan" not in html
        assert "inf" not in html


def test_a_thinned_curve_tells_the_number_of_its_points() -> None:
    html = draw_line_chart("long", "x", "y", {"one": [(x, x * x) for x in range(5000)]})
    assert html is not None
    assert "200 of 5000 points" in html
    assert '<th scope="row" data-key="4999">4999</th>' in html
    assert len(html) < 60_000


def test_a_logarithmic_axis_has_powers_of_ten() -> None:
    html = draw_line_chart("t", "x", "y", {"one": [(0, 1e-4), (1, 1.0)]}, log=True)
    assert html is not None
    assert {"0.0001", "0.01"} & set(re.findall(r">([\d.]+)</text>", html))


def test_images_have_the_right_pixels() -> None:
    image = np.stack([np.full((2, 3), value) for value in (-1.0, 0.0, 2.0)])
    assert render_pixels(image)[0, 0].tolist() == [0, 128, 255]
    assert render_map(np.array([[-1.0, 0.0, 1.0]]), 1.0)[0].tolist() == [[33, 102, 172], [255] * 3, [178, 24, 43]]
    uri = encode_png(render_pixels(image))
    back = np.asarray(Image.open(BytesIO(b64decode(uri.partition(",")[2]))))
    assert (back == render_pixels(image)).all()
    cells = arrange_sheet([np.full((4, 4, 3), value, np.uint8) for value in (10, 20, 30)], 2, 2)
    assert cells.shape == (4, 4, 3)
    assert [cells[0, 0, 0], cells[0, 2, 0], cells[2, 0, 0], cells[2, 2, 0]] == [10, 20, 30, 255]


def test_a_cloud_stands_upright() -> None:
    pole = np.stack([np.zeros(50), np.zeros(50), np.linspace(-1, 1, 50)], axis=1)
    dark = (draw_cloud(pole, 40) < 250).any(axis=2)
    rows, columns = np.flatnonzero(dark.any(axis=1)), np.flatnonzero(dark.any(axis=0))
    assert np.ptp(rows) > 30
    assert np.ptp(columns) <= 1
    assert draw_cloud(np.zeros((0, 3)), 8).min() == 255


def test_packed_shapes_can_be_unpacked() -> None:
    points = np.random.default_rng(0).uniform(-1, 1, (30, 3))
    faces = np.arange(30).reshape(10, 3)
    html = render_canvas(Shape(points, faces), "a < b", "g")
    packed = json.loads(re.findall(r'<script type="application/json">(.*?)</script>', html, re.DOTALL)[0])
    back = np.frombuffer(b64decode(packed["points"]), "<i2").reshape(-1, 3) / 32767 * REACH
    assert np.abs(back - points).max() < 1e-4
    assert (np.frombuffer(b64decode(packed["faces"]), "<u2").reshape(-1, 3) == faces).all()
    assert "a &lt; b" in html
    assert "10 triangles" in html
    assert "no surface" in render_canvas(None, "gone", "g")


def test_surfaces_are_rebuilt_from_densities_only() -> None:
    basis = zernike_basis(6, points=400)
    directions = np.random.default_rng(0).normal(size=(1, 400, 3))
    sphere = clouds_to_maps(0.6 * directions / np.linalg.norm(directions, axis=2, keepdims=True), basis)
    ball, nothing = rebuild_surfaces(np.concatenate([sphere, np.full_like(sphere, np.nan)]), basis)
    assert nothing is None
    assert ball is not None
    assert ball.faces is not None
    assert np.linalg.norm(ball.points, axis=1).mean() == pytest.approx(0.6, abs=0.15)


def test_noise_is_shown_coarser() -> None:
    basis = zernike_basis(20)
    noise = np.random.default_rng(0).normal(size=(1, *basis.shape)) * find_valid_cells(basis)
    (shape,) = rebuild_surfaces(noise, basis)
    assert shape is not None
    assert shape.faces is not None
    assert 100 < len(shape.faces) <= MOST_TRIANGLES


def test_the_noise_of_halves_is_that_of_another_cloud(run: TrainedRun) -> None:
    """Compare the estimate for independent points with the difference of maps of independent clouds."""
    maps = open_maps(run.plan.data)
    rows = maps.rows()
    estimate = np.sqrt(np.mean(_estimate_noise(maps, rows) ** 2))
    clouds = maps.read_points(rows)
    # the difference of two half clouds has twice the variance of that of two whole clouds
    halves = clouds_to_maps(clouds[:, ::2], maps.basis) - clouds_to_maps(clouds[:, 1::2], maps.basis)
    assert estimate == pytest.approx(np.sqrt(np.mean(halves**2) / 2), rel=0.1)


def test_distant_classes_stay_apart_in_the_plane() -> None:
    generator = np.random.default_rng(0)
    centres = np.repeat([[0.0] * 8, [20.0] * 8], 30, axis=0)
    positions = project_to_plane(centres + generator.normal(size=(60, 8)))
    assert positions.min() >= 0
    assert positions.max() <= 1
    gap = np.linalg.norm(positions[:30].mean(axis=0) - positions[30:].mean(axis=0))
    assert gap > 2 * positions[:30].std(axis=0).max()


@pytest.mark.parametrize(("method", "task"), [("cgml", "complete-shape"), ("joint-embedding", "views")])
def test_the_command_of_a_training_gives_the_same_plan(run: TrainedRun, method: str, task: str, tmp_path: Path) -> None:
    entry = METHODS[method]
    plan = Plan(
        method=method, task=task,
        train=TrainConfig(epochs=0, batch_size=20, seed=7),
        method_config=build_config(entry.config, {"width": 4, "code": 16}, "method"),
        task_config=TASKS[task].config(points=48, mirror=False),
        data=run.plan.data, data_digest=run.plan.data_digest,
    )  # fmt: skip
    words = shlex.split(build_pretrain_command(plan, tmp_path / "again"))
    assert words[:2] == ["spectral-ssl", "pretrain"]
    options = dict(zip(words[2::2], words[3::2], strict=True))
    settings = [words[index + 1] for index, word in enumerate(words) if word == "--set"]
    made = spectral_ssl.pretrain(
        options["--data"], method=options["--method"], task=options["--task"], settings=settings, out=options["--out"],
        report=False,
    )  # fmt: skip
    assert made.plan == plan


def test_the_commands_of_maps_and_probes_name_all_settings(run: TrainedRun) -> None:
    maps = open_maps(run.plan.data)
    words = shlex.split(build_prep_command(maps))
    for option, value in (("--degree", "6"), ("--points", "96"), ("--basis", "zernike"), ("--out", str(maps.path))):
        assert words[words.index(option) + 1] == value
    assert "--keep-points" in words
    result = json.loads((run.folder / "probe-clouds.json").read_text(encoding="utf-8"))
    words = shlex.split(build_probe_command(result, maps.path.parent))
    assert words[words.index("--run") + 1] == str(run.folder)
    assert words[words.index("--target") + 1] == str(maps.path)
    assert words[words.index("--seeds") + 1] == "1"


def test_settings_are_compared_by_their_bare_keys() -> None:
    """Methods group their settings differently; equal ones are the same all the same."""
    configs = {
        "grouped": "[method.networks]\nwidth = 4\n[method.optimisation]\nlearning_rate = 0.1\n",
        "flat": "[method]\nwidth = 4\nlearning_rate = 0.2\n",
        "twice": "[method.first]\nwidth = 4\n[method.second]\nwidth = 5\n",
    }
    runs = {
        name: SimpleNamespace(run=SimpleNamespace(plan=SimpleNamespace(to_toml=lambda text=text: text)))
        for name, text in configs.items()
    }
    table = comparison._list_settings({name: runs[name] for name in ("grouped", "flat")})
    assert table.rows == [["method.learning_rate", "0.1", "0.2"]]
    assert table.caption.startswith("1 other")
    assert set(comparison._name_settings(configs["twice"])) == {"method.first.width", "method.second.width"}
