"""The training loop: seeded, saved, logged. It knows nothing of any method or task beyond their contracts.

All randomness is a function of (seed, epoch) for the order of the samples and of (seed, step) for everything drawn
inside a step, so a resumed run draws what an uninterrupted one would have drawn.
"""

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pretext.data.batch import Batch, Example
from pretext.data.training_split import TrainingMaps
from pretext.losses.reconstruction import sample_error
from pretext.method import LearnsFirst, Method
from pretext.randomness import StepGenerator
from pretext.training.batch_step import BatchStep, Part
from pretext.training.checkpoint import save_checkpoint
from pretext.training.checks import agree, check_accumulation, check_finite, check_parameters
from pretext.training.devices import choose_device, compile_networks, move
from pretext.training.distributed import ALONE, Processes
from pretext.training.feature_statistics import FeatureWatch
from pretext.training.precision import Mixed, Precision, choose_precision
from pretext.training.prefetch import Feeder
from pretext.training.sync_batch_norm import share_statistics
from spectral_ssl.ground.config import check_range
from spectral_ssl.ground.errors import Stopped, UserError
from spectral_ssl.ground.progress import progress, say
from spectral_ssl.ground.run_folder import append_metrics, sync_metrics, write_status

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
        Samples a step, of all processes together; the last, smaller batch of an epoch is used too.
    accumulate : int
        Parts in which each process works through its rows of a batch, one after the other: less memory, the same step.
    precision : {"auto", "fp32", "bf16", "fp16"}
        Of the layers in training, see ``pretext.training.precision``. On processors that multiply bfloat16 themselves it can
        take half the time, on others it takes more.
    compile : bool
        Whether torch's compiler makes kernels of the networks first; that takes minutes.
    max_minutes : float
        Stop cleanly at the end of the step that passes this; 0 means no limit.
    checkpoint_every : int
        Epochs between checkpoints; one is always written at the end.
    checkpoint_minutes : float
        Most time between checkpoints, inside an epoch too; 0 means no limit.
    log_every : int
        Steps between rows of ``metrics.jsonl``, beside the row at the end of each epoch; 0 for none.
    watch : int
        Most samples of the training split whose features are watched (``pretext.training.feature_statistics``); 0 for none.
    seed : int
        Of everything random.
    """

    epochs: int = 20
    batch_size: int = 64
    accumulate: int = 1
    precision: Precision = "auto"
    compile: bool = False
    max_minutes: float = 0.0
    checkpoint_every: int = 1
    checkpoint_minutes: float = 10.0
    log_every: int = 0
    watch: int = 2000
    seed: int = 0

    def __post_init__(self) -> None:
        check_range("train.epochs", self.epochs, 0, 1_000_000)
        check_range("train.batch_size", self.batch_size, 1, 1_000_000)
        check_range("train.accumulate", self.accumulate, 1, 1_000_000)
        check_range("train.max_minutes", self.max_minutes, 0.0, 1e7)
        check_range("train.checkpoint_every", self.checkpoint_every, 1, 1_000_000)
        check_range("train.checkpoint_minutes", self.checkpoint_minutes, 0.0, 1e7)
        check_range("train.log_every", self.log_every, 0, 1_000_000_000)
        check_range("train.watch", self.watch, 0, 100_000)
        check_range("train.seed", self.seed, 0, 2**31 - 1)


def seeded_generator(*parts: int | str) -> StepGenerator:
    """A generator whose stream is a function of the parts, e.g. (seed, "step", 12)."""
    digest = sha256(":".join(str(part) for part in parts).encode()).digest()
    generator = StepGenerator()
    generator.manual_seed(int.from_bytes(digest[:8], "little") >> 1)
    return generator


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
    scaling : dict of str to float
        Of float16, see ``pretext.training.precision``.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    samples: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    unwatched: int = 0
    scaling: dict[str, float] = field(default_factory=dict)

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
    *,
    mixes: bool = False,
    processes: Processes = ALONE,
    device: torch.device | None = None,
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
    mixes : bool
        Whether the task mixes samples of a batch.
    processes : Processes
        This process and those that train along; the first one writes.
    device : torch.device, optional
        Where it is trained, the processor by default.

    Returns
    -------
    Place
        How far it came; less than ``config.epochs`` when the time ran out.

    Raises
    ------
    UserError
        When the loss is not finite, or nothing can be written; the last checkpoint stays. When another process has
        ended.
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
    device = device or choose_device()
    products, reason = choose_precision(config.precision, device)
    say(f"precision {reason}")
    if isinstance(products, Mixed):
        products.take(place.scaling)
    how = BatchStep(processes=processes, products=products, accumulate=config.accumulate, mixes=mixes, device=device)
    check_accumulation(method, config.accumulate)
    assert isinstance(method, nn.Module)

    before = place.seconds
    saved = logged = started
    waited = 0.0

    def save(state: str) -> None:
        nonlocal saved
        place.seconds = before + time.monotonic() - started
        place.scaling = products.state() if isinstance(products, Mixed) else {}
        check_parameters(method, place.step, processes)
        processes.check_alike(method)
        saved = time.monotonic()
        if not processes.first:
            return
        sync_metrics(run / "metrics.jsonl")
        save_checkpoint(run / "checkpoints", method, data.standardise, resolved, asdict(place))
        write_status(run, state, place.epoch, place.step)

    def work() -> Iterator[tuple[Tensor, int]]:
        step, first = place.step, place.batch
        for epoch in range(place.epoch, config.epochs):
            order = torch.randperm(len(data), generator=seeded_generator(config.seed, "order", epoch))
            for rows in order.split(config.batch_size)[first:]:
                yield rows, step
                step += 1
            first = 0

    def prepare(work: tuple[Tensor, int]) -> tuple[Tensor, list[Part]]:
        rows, step = work
        return rows, how.parts(data, corrupt, rows, partial(seeded_generator, config.seed, "step", step))

    watched: Example | None = None
    if method.answers:
        rows = torch.linspace(0, len(data) - 1, min(WATCHED, len(data))).long()
        watched = corrupt(data.batch(rows), seeded_generator(config.seed, "watched"))
    features: FeatureWatch | None = None
    if config.watch and config.epochs:
        features = FeatureWatch(data, view, config.watch, seeded_generator(config.seed, "watched features"))

    def log() -> None:
        nonlocal logged, waited
        if not processes.first:
            place.take_means()
            return
        now = time.monotonic()
        waiting = round((feeder.waited - waited) / max(now - logged, 1e-9), 4)
        logged, waited = now, feeder.waited
        epoch = place.epoch + place.batch / steps_an_epoch if place.batch else place.epoch
        row = {"epoch": epoch, "step": place.step, "seconds": round(before + now - started, 3), "waiting": waiting}
        row |= place.take_means()
        if watched is not None:
            generator = seeded_generator(config.seed, "watched answers")
            generator.at_home = None if device.type == "cpu" else device
            with how.there():
                answers = method.complete(watched.condition.to(device), 1, generator).cpu()
            row["answer_error"] = sample_error(answers[:, 0], watched).mean().item()
        if features is not None and (not place.batch or features.due(place.unwatched)):
            with how.there():
                row |= features.measure(method, place.step, device)
            place.unwatched = 0
        append_metrics(run / "metrics.jsonl", row)

    def passed(minutes: float, since: float) -> bool:
        return bool(minutes) and time.monotonic() - since >= 60 * minutes

    try:
        if processes.first:
            write_status(run, "running", place.epoch, place.step)
        if start is None and isinstance(method, LearnsFirst):
            generator = seeded_generator(config.seed, "first")
            shown = torch.randperm(len(data), generator=generator)[:SHOWN_FIRST]
            method.learn_first(data.batch(shown).maps, generator)
        move(method, device)
        processes.take_over(method)
        share_statistics(method, processes)
        if config.compile:
            compile_networks(method)
        with (
            hold_interrupt() as interrupted,
            progress("pretrain", config.epochs * steps_an_epoch, 60 * config.max_minutes) as advance,
            Feeder(prepare, work()) as feeder,
        ):
            advance(place.step)
            late = False
            while place.epoch < config.epochs and not late:
                for _ in range(place.batch, steps_an_epoch):
                    rows, parts = next(feeder)
                    losses = how.step(method, parts)
                    # all processes agree on what happens next
                    wishes = (
                        interrupted() > 0,
                        passed(config.max_minutes, started),
                        passed(config.checkpoint_minutes, saved),
                    )
                    losses, (stopped, late, due) = agree(processes, losses, wishes)
                    check_finite(losses, place.step, run, partial(how.whole, parts), data.ids(rows), processes)
                    place.count(losses, len(rows))
                    if config.log_every and place.step % config.log_every == 0 and place.batch < steps_an_epoch:
                        log()
                    if stopped:
                        save("stopped")
                        line = f"stopped at step {place.step}; go on with `spectral-ssl pretrain --resume {run}`"
                        raise Stopped(line, 128 + (interrupted() or signal.SIGINT))
                    advance(1, f"loss {losses['loss']:.4f}")
                    if late:
                        break
                    if due:
                        save("running")
                if place.batch == steps_an_epoch:
                    place.end_epoch()
                    log()
                if not late and place.epoch % config.checkpoint_every == 0 and place.epoch < config.epochs:
                    save("running")
            save("finished" if place.epoch >= config.epochs else "stopped")
    except Stopped:
        raise
    except BaseException as error:
        with suppress(OSError, UserError):  # the disk may be what failed
            ended = isinstance(error, KeyboardInterrupt | SystemExit)
            if processes.first:
                write_status(run, "killed" if ended else "failed", place.epoch, place.step)
        if isinstance(error, OSError):
            what_to_do = f"what is saved stays: make room, then `spectral-ssl pretrain --resume {run}`"
            raise UserError(
                "cannot go on", f"{error.strerror or error}, {error.filename or run}", what_to_do
            ) from error
        raise
    return place


@contextmanager
def hold_interrupt() -> Iterator[Callable[[], int]]:
    """Keep Ctrl-C and SIGTERM until the step under way is finished; a second one ends the process at once.

    Yields
    ------
    callable
        The number of the signal that has come; 0 when none has.
    """
    if threading.current_thread() is not threading.main_thread():  # only the main thread may handle signals
        yield lambda: 0
        return
    came = 0

    def note(number: int, frame: object) -> None:
        nonlocal came
        if came:
            raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)
        came = number

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: came
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
