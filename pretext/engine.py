"""The training loop: seeded, saved, logged. It knows nothing of any method or task beyond their contracts.

All randomness is a function of (seed, epoch) for the order of the samples and of (seed, step) for everything drawn
inside a step, so a resumed run draws what an uninterrupted one would have drawn.
"""

import json
import math
import os
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch

from pretext.checkpoint import save_checkpoint
from pretext.method import Method
from pretext.tasks.example import Example
from pretext.training_maps import TrainingMaps
from spectral_ssl.ground.config import check_range
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.files import write_text
from spectral_ssl.ground.metrics_log import append_metrics
from spectral_ssl.ground.progress import progress


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Settings of the loop.

    Attributes
    ----------
    epochs : int
        Passes over the training split.
    batch_size : int
        Samples a step; the last, smaller batch of an epoch is used too.
    max_minutes : float
        Stop cleanly at the end of the step that passes this; 0 means no limit.
    checkpoint_every : int
        Epochs between checkpoints; one is always written at the end.
    seed : int
        Of everything random.
    """

    epochs: int = 20
    batch_size: int = 64
    max_minutes: float = 0.0
    checkpoint_every: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        check_range("train.epochs", self.epochs, 0, 1_000_000)
        check_range("train.batch_size", self.batch_size, 1, 1_000_000)
        check_range("train.max_minutes", self.max_minutes, 0.0, 1e7)
        check_range("train.checkpoint_every", self.checkpoint_every, 1, 1_000_000)
        check_range("train.seed", self.seed, 0, 2**31 - 1)


def seeded_generator(*parts: int | str) -> torch.Generator:
    """A generator whose stream is a function of the parts, e.g. (seed, "step", 12)."""
    digest = sha256(":".join(str(part) for part in parts).encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "little") >> 1)


@dataclass
class Place:
    """How far a run is; saved in every checkpoint, so that a run goes on where it was, inside an epoch too.

    Attributes
    ----------
    epoch, batch, step : int
        Finished epochs, finished batches of the epoch under way, finished steps in all.
    samples : int
        Samples seen in the epoch under way.
    sums : dict of str to float
        Losses summed over those samples.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    samples: int = 0
    sums: dict[str, float] = field(default_factory=dict)

    def count(self, losses: dict[str, float], samples: int) -> None:
        """Note one finished step."""
        for name, value in losses.items():
            self.sums[name] = self.sums.get(name, 0.0) + value * samples
        self.batch += 1
        self.step += 1
        self.samples += samples

    def end_epoch(self) -> dict[str, float]:
        """Note a finished epoch and give its mean losses."""
        means = {name: value / self.samples for name, value in self.sums.items()}
        self.epoch += 1
        self.batch, self.samples, self.sums = 0, 0, {}
        return means


def train(
    method: Method,
    corrupt: Callable[[torch.Tensor, torch.Generator], Example],
    data: TrainingMaps,
    config: TrainConfig,
    run: Path,
    resolved: str,
    start: dict[str, Any] | None = None,
) -> Place:
    """Train a method on a task and leave checkpoints, metrics and a status in the run folder.

    Parameters
    ----------
    method : Method
        Trained in place.
    corrupt : callable
        The task with its config filled in: (maps (B, C, H, W), generator) -> Example.
    data : TrainingMaps
        The training split.
    config : TrainConfig
        Settings of the loop.
    run : Path
        The run folder; it exists.
    resolved : str
        The whole resolved config as TOML, for the checkpoints.
    start : dict, optional
        The ``place`` of the checkpoint whose state the method has taken over.

    Returns
    -------
    Place
        How far it came; less than ``config.epochs`` when the time ran out.

    Raises
    ------
    UserError
        When the loss is not finite; the last checkpoint stays.
    """
    # products of tiny numbers (squared gradients in Adam) make the processor crawl unless they are flushed to zero
    torch.set_flush_denormal(True)
    started = time.monotonic()
    place = Place(**start) if start else Place()
    steps_an_epoch = math.ceil(len(data) / config.batch_size)

    def save(state: str) -> None:
        save_checkpoint(run / "checkpoints", method, data.standardise, resolved, asdict(place))
        write_status(run, state, place)

    write_status(run, "running", place)
    with progress("pretrain", config.epochs * steps_an_epoch) as advance:
        advance(place.step)
        while place.epoch < config.epochs:
            order = torch.randperm(len(data), generator=seeded_generator(config.seed, "order", place.epoch))
            for rows in order.split(config.batch_size)[place.batch :]:
                generator = seeded_generator(config.seed, "step", place.step)
                losses = method.training_step(corrupt(data.batch(rows), generator), generator)
                if not math.isfinite(losses["loss"]):
                    write_status(run, "failed", place)
                    at = f"{losses['loss']} at step {place.step}"
                    raise UserError("the loss is not finite", at, "lower the learning rate or the latent step size")
                place.count(losses, len(rows))
                advance(1, f"loss {losses['loss']:.4f}")
                if config.max_minutes and time.monotonic() - started >= 60 * config.max_minutes:
                    break
            if place.batch == steps_an_epoch:
                seconds = round(time.monotonic() - started, 3)
                means = place.end_epoch()
                row = {"epoch": place.epoch, "step": place.step, "seconds": seconds, **means}
                append_metrics(run / "metrics.jsonl", row)
            if config.max_minutes and time.monotonic() - started >= 60 * config.max_minutes:
                break
            if place.epoch % config.checkpoint_every == 0 and place.epoch < config.epochs:
                save("running")
    save("finished")
    return place


def write_status(run: Path, state: str, place: Place) -> None:
    """Say in ``status.json`` how far a run is."""
    status = {
        "state": state,
        "epoch": place.epoch,
        "step": place.step,
        "process": os.getpid(),
        "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }
    write_text(run / "status.json", json.dumps(status) + "\n")
