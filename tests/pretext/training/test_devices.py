"""Training on a GPU, where there is one, and the choice of the device."""

from pathlib import Path
from typing import Any, cast

import pytest
import torch
from command_line import call
from every_method import CASES, train_some, write_data

import spectral_ssl
from pretext.runs.trained_run import load_run
from pretext.training.checkpoint import load_checkpoint
from pretext.training.devices import choose_device, fit_device
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.run_folder import read_metrics
from spectral_ssl.planning.pretrain_options import PretrainOptions


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("devices"))


def test_missing_devices_raise_a_user_error() -> None:
    assert choose_device("cpu") == torch.device("cpu")
    if not torch.cuda.is_available():
        with pytest.raises(UserError, match="no such device here"):
            choose_device("cuda")
    with pytest.raises(UserError, match="unknown device"):
        choose_device("gpu")


def test_auto_takes_the_first_device_that_computes(monkeypatch: pytest.MonkeyPatch) -> None:
    # this machine's torch finds both GPUs, and neither computes: a driver without kernels looks like that
    if not torch.cuda.is_available():
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
        assert choose_device("auto") == torch.device("cpu")
    monkeypatch.setattr("pretext.training.devices._is_usable", lambda name: name in ("cpu", "mps"))
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert choose_device("auto") == torch.device("mps")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert choose_device("auto") == torch.device("cpu")


def test_a_method_with_float64_is_not_trained_on_mps() -> None:
    single, double = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2, dtype=torch.float64)
    mps, cpu = torch.device("mps"), torch.device("cpu")
    assert fit_device(cast(Any, single), mps, "mps") == mps
    assert fit_device(cast(Any, double), mps, "auto") == cpu
    assert fit_device(cast(Any, double), cpu, "cpu") == cpu
    with pytest.raises(UserError, match="float64, which MPS does not have: got --device mps"):
        fit_device(cast(Any, double), mps, "mps")


def test_auto_is_the_default_and_a_wrong_name_is_refused_at_once() -> None:
    assert PretrainOptions().device == "auto"
    for dry_run in ([], ["--dry-run"]):
        ended = call("pretrain", "--device", "tpu", *dry_run)
        assert ended.returncode == 2
        # the only line, before any map file is looked for
        assert ended.stderr == "spectral-ssl: unknown device: got 'tpu'; choose one of: auto, cpu, cuda, mps\n"


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="this machine has no CUDA device")
@pytest.mark.parametrize("name", CASES)
def test_a_gpu_trains_every_method_as_the_cpu_does(folder: Path, name: str) -> None:
    for device in ("cpu", "cuda"):
        train_some(folder / device, [name], device=device)
    on_cpu, on_gpu = (read_metrics(folder / device / name / "metrics.jsonl")[-1] for device in ("cpu", "cuda"))
    assert on_gpu["loss"] == pytest.approx(on_cpu["loss"], rel=0.02, abs=0.01)
    tensors = load_checkpoint(folder / "cuda" / name / "checkpoints" / "last.pt")["model"].values()
    assert all(tensor.device.type == "cpu" for tensor in tensors)


@pytest.mark.parametrize("name", ["cgml", "lsc-gan", "mr-gan"])
def test_a_run_is_resumed_on_the_device(folder: Path, name: str, device: str) -> None:
    whole, parts = folder / f"whole-{device}", folder / f"parts-{device}"
    train_some(whole, [name], device=device)
    train_some(parts, [name], "max_minutes=1e-6", device=device)
    assert load_checkpoint(parts / name / "checkpoints" / "last.pt")["place"]["step"] == 1
    spectral_ssl.pretrain(resume=parts / name, max_minutes=0, device=device)
    one, two = (load_run(kind / name).checkpoint for kind in (whole, parts))
    assert one["place"]["step"] == two["place"]["step"] == 3
    if device == "cpu":
        assert all(torch.equal(one["model"][key], two["model"][key]) for key in one["model"])
    else:  # sums on a GPU have no fixed order
        first, second = (read_metrics(kind / name / "metrics.jsonl")[-1]["loss"] for kind in (whole, parts))
        assert second == pytest.approx(first, rel=1e-2)
