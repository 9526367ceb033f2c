"""The training loop: seeded, saved, logged. It knows nothing of any method or task beyond their contracts.

All randomness is a function of (seed, epoch) for the order of the samples and of (seed, step) for everything drawn
inside a step, so a resumed run draws what an uninterrupted one would have drawn.
"""

import json
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from pretext.checkpoint import save_checkpoint
from pretext.method import LearnsFirst, Method
from pretext.sample_error import sample_error
from pretext.tasks.example import Batch, Example
from pretext.training_maps import TrainingMaps
from pretext.watch import FeatureWatch
from spectral_ssl.ground.config import check_range
from spectral_ssl.ground.errors import Stopped, UserError
from spectral_ssl.ground.files import atomic_path, write_text
from spectral_ssl.ground.metrics_log import append_metrics
from spectral_ssl.ground.progress import progress

# Samples whose answers are watched during training, always with the same corruption: what curves can be compared by.
WATCHED = 64
# Maps shown to a method that learns something before its first step.
SHOWN_FIRST = 5000


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
    log_every : int
        Steps between rows of ``metrics.jsonl``, beside the row at the end of each epoch; 0 for none.
    watch : int
        Most samples of the training split whose features are watched (``pretext.watch``); 0 for none.
    seed : int
        Of everything random.
    """

    epochs: int = 20
    batch_size: int = 64
    max_minutes: float = 0.0
    checkpoint_every: int = 1
    log_every: int = 0
    watch: int = 2000
    seed: int = 0

    def __post_init__(self) -> None:
        check_range("train.epochs", self.epochs, 0, 1_000_000)
        check_range("train.batch_size", self.batch_size, 1, 1_000_000)
        check_range("train.max_minutes", self.max_minutes, 0.0, 1e7)
        check_range("train.checkpoint_every", self.checkpoint_every, 1, 1_000_000)
        check_range("train.log_every", self.log_every, 0, 1_000_000_000)
        check_range("train.watch", self.watch, 0, 100_000)
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
        Samples seen since the last row of metrics.
    sums : dict of str to float
        Losses summed over those samples.
    seconds : float
        Time of training so far, over all its parts.
    unwatched : int
        Samples seen since features were last watched.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    samples: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    unwatched: int = 0

    def count(self, losses: dict[str, float], samples: int) -> None:
        """Note one finished step."""
        for name, value in losses.items():
            self.sums[name] = self.sums.get(name, 0.0) + value * samples
        self.batch += 1
        self.step += 1
        self.samples += samples
        self.unwatched += samples

    def end_epoch(self) -> None:
        """Note a finished epoch."""
        self.epoch += 1
        self.batch = 0

    def take_means(self) -> dict[str, float]:
        """The mean losses since the last time they were taken."""
        means = {name: value / self.samples for name, value in self.sums.items()}
        self.samples, self.sums = 0, {}
        return means


def train(
    method: Method,
    corrupt: Callable[[Batch, torch.Generator], Example],
    view: Callable[[Batch], Tensor],
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
        The task with its config filled in: (batch, generator) -> Example.
    view : callable
        The task's view with its config filled in: (batch) -> conditions without corruption.
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
    Stopped
        After Ctrl-C or SIGTERM, when the step under way is finished and a checkpoint written.
    """
    # products of tiny numbers (squared gradients in Adam) make the processor crawl unless they are flushed to zero;
    # this stays on in the process, because threads that torch has started keep it anyway
    torch.set_flush_denormal(True)
    started = time.monotonic()
    place = Place(**start) if start else Place()
    steps_an_epoch = math.ceil(len(data) / config.batch_size)
    method.total_steps = config.epochs * steps_an_epoch

    before = place.seconds

    def save(state: str) -> None:
        place.seconds = before + time.monotonic() - started
        check_parameters(method, place, run)
        save_checkpoint(run / "checkpoints", method, data.standardise, resolved, asdict(place))
        write_status(run, state, place)

    watched: Example | None = None
    if method.answers:
        rows = torch.linspace(0, len(data) - 1, min(WATCHED, len(data))).long()
        watched = corrupt(data.batch(rows), seeded_generator(config.seed, "watched"))
    features: FeatureWatch | None = None
    if config.watch and config.epochs:
        features = FeatureWatch(data, view, config.watch, seeded_generator(config.seed, "watched features"))

    def log() -> None:
        seconds = round(before + time.monotonic() - started, 3)
        epoch = place.epoch + place.batch / steps_an_epoch if place.batch else place.epoch
        row = {"epoch": epoch, "step": place.step, "seconds": seconds, **place.take_means()}
        if watched is not None:
            answers = method.complete(watched.condition, 1, seeded_generator(config.seed, "watched answers"))
            row["answer_error"] = sample_error(answers[:, 0], watched).mean().item()
        if features is not None and (not place.batch or features.due(place.unwatched)):
            row |= features.measure(method, place.step)
            place.unwatched = 0
        append_metrics(run / "metrics.jsonl", row)

    write_status(run, "running", place)
    if start is None and isinstance(method, LearnsFirst):
        generator = seeded_generator(config.seed, "first")
        shown = torch.randperm(len(data), generator=generator)[:SHOWN_FIRST]
        method.learn_first(data.batch(shown).maps, generator)
    seen = progress("pretrain", config.epochs * steps_an_epoch, 60 * config.max_minutes)
    with hold_interrupt() as interrupted, seen as advance:
        advance(place.step)
        while place.epoch < config.epochs:
            order = torch.randperm(len(data), generator=seeded_generator(config.seed, "order", place.epoch))
            for rows in order.split(config.batch_size)[place.batch :]:
                generator = seeded_generator(config.seed, "step", place.step)
                example = corrupt(data.batch(rows), generator)
                losses = method.training_step(example, generator)
                check_finite(losses, place, run, example, data.ids(rows))
                place.count(losses, len(rows))
                if config.log_every and place.step % config.log_every == 0 and place.batch < steps_an_epoch:
                    log()
                if interrupted():
                    save("stopped")
                    raise Stopped(f"stopped at step {place.step}; go on with `spectral-ssl pretrain --resume {run}`")
                advance(1, f"loss {losses['loss']:.4f}")
                if config.max_minutes and time.monotonic() - started >= 60 * config.max_minutes:
                    break
            if place.batch == steps_an_epoch:
                place.end_epoch()
                log()
            if config.max_minutes and time.monotonic() - started >= 60 * config.max_minutes:
                break
            if place.epoch % config.checkpoint_every == 0 and place.epoch < config.epochs:
                save("running")
    save("finished" if place.epoch >= config.epochs else "stopped")
    return place


@contextmanager
def hold_interrupt() -> Iterator[Callable[[], bool]]:
    """Keep Ctrl-C and SIGTERM until the step under way is finished; a second one ends the process at once.

    Yields
    ------
    callable
        Whether one has come.
    """
    if threading.current_thread() is not threading.main_thread():  # only the main thread may handle signals
        yield lambda: False
        return
    came = False

    def note(number: int, frame: object) -> None:
        nonlocal came
        if came:
            raise KeyboardInterrupt
        came = True

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def check_finite(losses: dict[str, float], place: Place, run: Path, example: Example, ids: list[str]) -> None:
    """Raise a UserError when a loss is NaN or infinite, before a checkpoint could be spoilt; the batch is saved."""
    for name, value in losses.items():
        if not math.isfinite(value):
            write_status(run, "failed", place)
            dump = run / "failed-batch.pt"
            with atomic_path(dump, overwrite=True) as temporary:
                torch.save({"step": place.step, "losses": losses, "ids": ids, **example._asdict()}, temporary)
            finite = [bool(torch.isfinite(part).all()) for part in zip(*example, strict=True) for part in part]
            bad = [identity for row, identity in enumerate(ids) if not all(finite[3 * row : 3 * row + 3])]
            at = f"{name} = {value} at step {place.step}" + (f", input not finite: {', '.join(bad[:3])}" if bad else "")
            what_to_do = f"lower the learning rate or the latent step size; the batch is in {dump}"
            raise UserError("the loss is not finite", at, what_to_do)


def check_parameters(method: Method, place: Place, run: Path) -> None:
    """Raise a UserError when a parameter is not finite, so that it cannot take the last good checkpoint's place."""
    for name, value in method.state_dict().items():
        if value.is_floating_point() and not bool(torch.isfinite(value).all()):
            write_status(run, "failed", place)
            at = f"{name} at step {place.step}"
            raise UserError("a parameter is not finite", at, "lower the learning rate; the last checkpoint is kept")


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
