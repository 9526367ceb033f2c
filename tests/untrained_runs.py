"""Runs that were never trained, made in memory: for tests of whatever reads or saves a run."""

from dataclasses import asdict
from pathlib import Path

import torch
from every_method import CASES

from data_prep.basis import Basis, pixel_basis, zernike_basis
from pretext.data.standardise import Standardiser
from pretext.methods.catalogue import find_method
from pretext.runs.plan import Plan
from pretext.runs.trained_run import TrainedRun
from pretext.tasks.catalogue import find_task
from pretext.training.checkpoint import Progress
from pretext.training.config import TrainConfig
from spectral_ssl.ground.config import build_config, merge_settings, parse_settings

BASES = {"random": zernike_basis(8, points=64), "pictures": pixel_basis(1, 16, 16)}


def make_run(
    method: str = "joint-embedding",
    task: str | None = None,
    settings: tuple[str, ...] = ("width=4", "code=8", "projector=16", "grid=8"),
    basis: Basis = BASES["random"],
) -> TrainedRun:
    """Make a run with random parameters and statistics."""
    entry = find_method(method)
    task_entry = find_task(task or entry.task)
    sections = {"train": TrainConfig, "method": entry.config, "task": task_entry.config}
    texts = parse_settings(settings, sections)
    built = {name: build_config(cls, merge_settings(cls, name, texts[name]), name) for name, cls in sections.items()}
    plan = Plan(
        method=method,
        task=task or entry.task,
        train=built["train"],
        method_config=built["method"],
        task_config=built["task"],
        data=str(Path("maps", "made-up.h5").absolute()),
        data_digest="0" * 64,
    )
    mean, std = torch.randn(basis.shape), torch.rand(basis.shape) + 0.5
    standardise = Standardiser.from_statistics(basis, mean, std)
    checkpoint = {"place": asdict(Progress(epoch=2, step=10))}
    network = plan.build(standardise)
    return TrainedRun(Path("runs", "made-up"), plan, network, standardise, checkpoint, "1" * 64, Path("last.pt"))


def make_case(name: str) -> TrainedRun:
    """Make the run of a case of ``every_method``."""
    data, method, task, settings = CASES[name]
    return make_run(method, task, settings, BASES[data])
