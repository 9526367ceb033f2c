"""Training in 16 bits, and the choice of precision."""

from pathlib import Path

import pytest
import torch
from every_method import CASES, train_some, write_data

import spectral_ssl
from pretext.numerics import full_precision, to_full_precision
from pretext.runs.plan import Plan
from pretext.runs.trained_run import load_run
from pretext.training.config import TrainConfig
from pretext.training.precision import MixedPrecision, choose_precision
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.run_folder import read_metrics
from spectral_ssl.planning.pretrain_options import PretrainOptions
from spectral_ssl.planning.run_plan import name_precision_source

CPU = torch.device("cpu")
# a process without rows is a matter of several processes
NAMES = [name for name in CASES if "process" not in name]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("precision"))


def last_row(run: Path) -> dict[str, float]:
    return read_metrics(run / "metrics.jsonl")[-1]


def test_every_method_trains_in_bfloat16(folder: Path, capfd: pytest.CaptureFixture[str], device: str) -> None:
    exact, coarse = folder / f"fp32-{device}", folder / f"bf16-{device}"
    train_some(exact, NAMES, device=device)
    capfd.readouterr()
    train_some(coarse, NAMES, "train.precision=bf16", device=device)
    assert capfd.readouterr().err.count("precision bf16: as set") == len(NAMES)
    for name in NAMES:
        one, two = last_row(exact / name), last_row(coarse / name)
        assert two["loss"] == pytest.approx(one["loss"], rel=0.1, abs=0.02), name
        assert one != two, name
        run = load_run(coarse / name)
        assert all(value.dtype != torch.bfloat16 for value in run.checkpoint["model"].values())


@pytest.mark.parametrize("name", ["regression", "mr-gan"])
def test_float16_resumes_with_its_factor(folder: Path, name: str, device: str) -> None:
    whole, parts = folder / f"whole-{device}", folder / f"parts-{device}"
    train_some(whole, [name], "train.precision=fp16", device=device)
    train_some(parts, [name], "train.precision=fp16", "max_minutes=1e-6", device=device)
    state = load_run(parts / name).checkpoint["place"]
    assert state["step"] == 1
    assert state["scaling"]["scale"] > 1
    spectral_ssl.pretrain(resume=parts / name, max_minutes=0, device=device)
    one, two = (load_run(kind / name).checkpoint for kind in (whole, parts))
    assert one["place"]["scaling"] == two["place"]["scaling"]
    if device == "cpu":
        assert all(torch.equal(one["model"][key], two["model"][key]) for key in one["model"])
    else:  # sums on a GPU have no fixed order
        assert last_row(parts / name)["loss"] == pytest.approx(last_row(whole / name)["loss"], rel=1e-2)


def test_a_precision_is_chosen_with_a_reason() -> None:
    assert choose_precision("auto", CPU)[1] == "fp32: the default on cpu"
    assert isinstance(choose_precision("bf16", CPU)[0], MixedPrecision)
    assert choose_precision("bf16", CPU, "the default")[1].startswith("bf16: the default; ")
    for options, source in (
        (PretrainOptions(), "the default for these maps on this processor"),
        (PretrainOptions(precision="bf16"), "as set"),
        (PretrainOptions(settings=("train.precision = bf16",)), "as set"),
        (PretrainOptions(recipe="joint-embedding"), "as in the recipe joint-embedding"),
        (PretrainOptions(recipe="quick"), "the default for these maps on this processor"),
    ):
        assert name_precision_source(options) == source
    with pytest.raises(UserError, match="unknown precision"):
        choose_precision("bf61", CPU)  # type: ignore[arg-type]
    assert TrainConfig().precision == "auto"


def test_full_precision_blocks_compute_in_float32() -> None:
    values = torch.full((64, 64), 1.001)
    with torch.autocast("cpu", torch.bfloat16):
        coarse = values @ values
        with full_precision(values):
            fine = values @ values
    assert coarse.dtype == torch.bfloat16
    assert fine.dtype == torch.float32
    assert to_full_precision(coarse).dtype == torch.float32
    assert to_full_precision(fine.double()).dtype == torch.float64


def test_configs_with_the_precision_in_the_method_section_are_read(folder: Path) -> None:
    train_some(folder / "older", ["joint-embedding"])
    text = (folder / "older" / "joint-embedding" / "config.toml").read_text()
    old = text.replace('precision = "auto"\n', "").replace("[method]\n", '[method]\nprecision = "bfloat16"\n')
    assert old != text
    assert Plan.from_toml(old).train.precision == "bf16"


@pytest.mark.slow
def test_compiled_networks_train_the_same(folder: Path) -> None:
    for name in ("regression", "cgml", "joint-embedding"):
        train_some(folder / "plain", [name])
        train_some(folder / "compiled", [name], "train.compile=true")
        one, two = (read_metrics(folder / kind / name / "metrics.jsonl")[-1] for kind in ("plain", "compiled"))
        assert two["loss"] == pytest.approx(one["loss"], rel=1e-3)
        load_run(folder / "compiled" / name)


def test_a_missing_compiler_raises_a_user_error(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(UserError, match="no compiler for --compile"):
        train_some(folder / "no-compiler", ["regression"], "train.compile=true")
