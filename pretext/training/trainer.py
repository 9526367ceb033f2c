"""The training loop: seeded, saved, logged. It knows methods and tasks by their contracts only.

All randomness is a function of the seed. The order of the samples follows from (seed, epoch),
everything random within a step from (seed, step). A resumed run therefore uses the same random
numbers as an uninterrupted one.
"""

import math
import shlex
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pretext.data.batch import Batch, Example
from pretext.data.training_split import TrainingData, TrainingSplit
from pretext.losses.reconstruction import sample_error
from pretext.method import LearnsBeforeTraining, Method
from pretext.randomness import seeded_generator
from pretext.training.batch_step import BatchStep, Part
from pretext.training.checkpoint import Progress, save_checkpoint
from pretext.training.checks import agree, check_accumulation, check_finite, check_parameters
from pretext.training.config import TrainConfig
from pretext.training.devices import choose_device, compile_networks, move_to_device
from pretext.training.distributed import ALONE, Distributed
from pretext.training.feature_statistics import FeatureMonitor
from pretext.training.precision import MixedPrecision, choose_precision
from pretext.training.prefetch import Feeder
from pretext.training.sync_batch_norm import share_statistics
from spectral_ssl.ground.errors import Interrupted, UserError
from spectral_ssl.ground.progress import Advance, busy, progress, say
from spectral_ssl.ground.run_folder import append_metrics, require_run, sync_metrics, write_status

# Samples whose error is logged during training. Their corruption is always the same, so that curves
# can be compared.
MONITORED = 64
# Maps shown to a method that learns something before its first step.
MAPS_BEFORE_TRAINING = 5000


class Trainer:
    """Trains a method on a task. Checkpoints, metrics and a status are left in the run folder.

    Parameters
    ----------
    method : Method
        The method, trained in place.
    corrupt : callable
        The task with its config filled in: (batch, generator) -> Example.
    view : callable
        The task's view with its config filled in: (batch) -> conditions without corruption.
    data : TrainingData
        The training split, or a stream of new shapes.
    config : TrainConfig
        Settings of the loop.
    run : Path
        The run folder, which exists.
    resolved : str
        The whole resolved config as TOML, for the checkpoints.
    start : dict, optional
        The ``place`` of the checkpoint whose state the method has; by default the training begins.
    has_weights : bool
        Whether the method starts from the weights of another run. Then it learns nothing of the data
        before its first step.
    mixes : bool
        Whether the task mixes samples of a batch.
    processes : Distributed
        This process and the others of the run; only the main process writes files.
    device : torch.device, optional
        Where the network is trained, the CPU by default.
    precision_source : str
        Who chose ``config.precision``, for the line that says it.

    Raises
    ------
    UserError
        If the precision or the number of parts does not suit the method or the device.
    """

    # set by ``run``
    interrupted: Callable[[], int]
    advance: Advance
    feeder: Feeder[tuple[Tensor, int], tuple[Tensor, list[Part]]]

    def __init__(
        self,
        method: Method,
        corrupt: Callable[[Batch, torch.Generator], Example],
        view: Callable[[Batch], Tensor],
        data: TrainingData,
        config: TrainConfig,
        run: Path,
        resolved: str,
        start: dict[str, Any] | None = None,
        *,
        has_weights: bool = False,
        mixes: bool = False,
        processes: Distributed = ALONE,
        device: torch.device | None = None,
        precision_source: str = "as set",
    ) -> None:
        # Products of tiny numbers (squared gradients in Adam) slow the CPU down greatly unless they
        # are flushed to zero. This stays on in the process, because threads that torch has started
        # keep it anyway.
        torch.set_flush_denormal(True)
        self.started = time.monotonic()
        assert isinstance(method, nn.Module)
        self.method, self.module = method, method
        self.corrupt, self.data, self.config = corrupt, data, config
        self.run_folder, self.resolved = run, resolved
        self.learns_first = start is None and not has_weights
        self.processes = processes
        self.device = device or choose_device()
        self.progress = Progress(**start) if start else Progress()
        self.seconds_before = self.progress.seconds
        self.saved_at = self.logged_at = self.started
        self.waited = 0.0  # seconds, up to the last row of metrics
        self.steps_an_epoch = math.ceil(len(data) / config.batch_size)
        method.total_steps = config.epochs * self.steps_an_epoch
        self.precision, reason = choose_precision(config.precision, self.device, precision_source)
        say(f"device {self.device.type}, precision {reason}")
        if isinstance(self.precision, MixedPrecision):
            self.precision.load_state(self.progress.scaling)
        self.batch_step = BatchStep(
            processes=processes,
            precision=self.precision,
            accumulate=config.accumulate,
            mixes=mixes,
            device=self.device,
        )
        check_accumulation(method, config.accumulate)
        self.monitored = self._monitored_example() if method.has_completions else None
        self.monitor = make_monitor(data.reference, view, config)

    def run(self) -> Progress:
        """Train until all epochs are finished, the time limit has passed, or the user interrupts.

        Returns
        -------
        Progress
            How far the run is; fewer than ``config.epochs`` epochs if the time limit has passed.

        Raises
        ------
        UserError
            If the loss is not finite or a file cannot be written; the last checkpoint stays. If
            another process has ended.
        Interrupted
            After Ctrl-C or SIGTERM, once the current step is finished and a checkpoint is written.
        """
        total = self.config.epochs * self.steps_an_epoch
        try:
            with busy("preparing the first step"):
                self.set_up()
            with (
                hold_interrupt() as self.interrupted,
                progress("pretrain", total, 60 * self.config.max_minutes) as self.advance,
                Feeder(self._make_parts, self._batches()) as self.feeder,
            ):
                self.advance(self.progress.step)
                is_late = False
                while self.progress.epoch < self.config.epochs and not is_late:
                    is_late = self.run_epoch()
                self.save("finished" if self.progress.epoch >= self.config.epochs else "stopped")
        except Interrupted:
            raise
        except BaseException as error:
            self._write_failure(error)
            if isinstance(error, OSError | UserError):
                require_run(self.run_folder)  # what went wrong first, if it is gone
            if isinstance(error, OSError):
                name = shlex.quote(str(self.run_folder))
                what_to_do = f"saved files are kept: make room, then `spectral-ssl pretrain --resume {name}`"
                got = f"{error.strerror or error}, {error.filename or self.run_folder}"
                raise UserError("the training cannot continue", got, what_to_do) from error
            raise
        return self.progress

    def set_up(self) -> None:
        """Prepare the network for its first step."""
        if self.processes.is_main:
            write_status(self.run_folder, "running", self.progress.epoch, self.progress.step)
        if self.learns_first:
            learn_before_training(self.method, self.data.reference, self.config.seed)
        move_to_device(self.method, self.device)
        self.processes.copy_from_main(self.module)
        share_statistics(self.module, self.processes)
        if self.config.compile:
            compile_networks(self.method)

    def run_epoch(self) -> bool:
        """Take the remaining steps of an epoch, and tell whether the time limit has passed."""
        is_late = False
        for _ in range(self.progress.batch, self.steps_an_epoch):
            is_late = self.step()
            if is_late:
                break
        if self.progress.batch == self.steps_an_epoch:
            self.progress.end_epoch()
            self.log()
        is_due = self.progress.epoch % self.config.checkpoint_every == 0
        if not is_late and is_due and self.progress.epoch < self.config.epochs:
            self.save("running")
        return is_late

    def step(self) -> bool:
        """Train on one batch, then log and save if it is time to; tell whether the time limit has passed."""
        rows, parts = next(self.feeder)
        losses = self.batch_step.step(self.method, parts)
        wishes = (
            self.interrupted() > 0,
            _has_passed(self.config.max_minutes, self.started),
            _has_passed(self.config.checkpoint_minutes, self.saved_at),
        )
        # All processes agree on what happens next.
        losses, (must_stop, is_late, is_due) = agree(self.processes, losses, wishes)
        whole, ids = partial(self.batch_step.whole, parts), self.data.ids(rows)
        check_finite(losses, self.progress.step, self.run_folder, whole, ids, self.processes)
        self.progress.add_step(losses, len(rows))
        log_every = self.config.log_every
        if log_every and self.progress.step % log_every == 0 and self.progress.batch < self.steps_an_epoch:
            self.log()
        if must_stop:
            self.save("stopped")
            resume = f"resume with `spectral-ssl pretrain --resume {shlex.quote(str(self.run_folder))}`"
            raise Interrupted(
                f"stopped at step {self.progress.step}; {resume}", 128 + (self.interrupted() or signal.SIGINT)
            )
        self.advance(1, f"loss {losses['loss']:.4f}")
        if is_due and not is_late:
            self.save("running")
        return is_late

    def save(self, state: str) -> None:
        """Check that the processes agree, and write a checkpoint and the status."""
        self.progress.seconds = self.seconds_before + time.monotonic() - self.started
        self.progress.scaling = self.precision.state() if isinstance(self.precision, MixedPrecision) else {}
        check_parameters(self.method, self.progress.step, self.processes)
        self.processes.check_equal(self.module)
        self.saved_at = time.monotonic()
        if not self.processes.is_main:
            return
        require_run(self.run_folder)
        sync_metrics(self.run_folder / "metrics.jsonl")
        folder, standardise = self.run_folder / "checkpoints", self.data.standardise
        save_checkpoint(folder, self.method, standardise, self.resolved, asdict(self.progress))
        write_status(self.run_folder, state, self.progress.epoch, self.progress.step)

    def log(self) -> None:
        """Append a row to the metrics: mean losses, the error of the monitored samples, feature statistics."""
        if not self.processes.is_main:
            self.progress.take_means()
            return
        row = self._times() | self.progress.take_means()
        if self.monitored is not None:
            row["answer_error"] = self._monitored_error(self.monitored)
        if self.monitor is not None and (not self.progress.batch or self.monitor.is_due(self.progress.unwatched)):
            with self.batch_step.on_device():
                row |= self.monitor.measure(self.method, self.progress.step, self.device)
            self.progress.unwatched = 0
        append_metrics(self.run_folder / "metrics.jsonl", row)

    def _times(self) -> dict[str, float]:
        """Return how far the run is, its seconds, and the share of time it has waited for data since the last row."""
        now = time.monotonic()
        waiting = round((self.feeder.waited - self.waited) / max(now - self.logged_at, 1e-9), 4)
        self.logged_at, self.waited = now, self.feeder.waited
        position = self.progress
        epoch = position.epoch + position.batch / self.steps_an_epoch if position.batch else position.epoch
        seconds = round(self.seconds_before + now - self.started, 3)
        return {"epoch": epoch, "step": position.step, "seconds": seconds, "waiting": waiting}

    def _monitored_example(self) -> Example:
        """Corrupt the samples whose error is logged."""
        split = self.data.reference
        rows = torch.linspace(0, len(split) - 1, min(MONITORED, len(split))).long()
        return self.corrupt(split.batch(rows), seeded_generator(self.config.seed, "watched"))

    def _monitored_error(self, example: Example) -> float:
        """Compute the mean error of one completion of each monitored sample."""
        generator = seeded_generator(self.config.seed, "watched answers")
        generator.target_device = None if self.device.type == "cpu" else self.device
        with self.batch_step.on_device():
            completions = self.method.complete(example.condition.to(self.device), 1, generator).cpu()
        return sample_error(completions[:, 0], example).mean().item()

    def _batches(self) -> Iterator[tuple[Tensor, int]]:
        """Generate the remaining batches, as positions in the data, each with the number of its step."""
        step, first = self.progress.step, self.progress.batch
        for epoch in range(self.progress.epoch, self.config.epochs):
            order = self.data.order(self.config.seed, epoch)
            for rows in order.split(self.config.batch_size)[first:]:
                yield rows, step
                step += 1
            first = 0

    def _make_parts(self, batch: tuple[Tensor, int]) -> tuple[Tensor, list[Part]]:
        """Read and corrupt this process's parts of a batch; called in the feeder's thread."""
        rows, step = batch
        seeded = partial(seeded_generator, self.config.seed, "step", step)
        return rows, self.batch_step.parts(self.data, self.corrupt, rows, seeded)

    def _write_failure(self, error: BaseException) -> None:
        """Write the status of a run that ended by an error."""
        with suppress(OSError, UserError):  # the disk may be what failed
            was_killed = isinstance(error, KeyboardInterrupt | SystemExit)
            if self.processes.is_main:
                state = "killed" if was_killed else "failed"
                write_status(self.run_folder, state, self.progress.epoch, self.progress.step)


def learn_before_training(method: Method, data: TrainingSplit, seed: int) -> None:
    """Show clean maps to a method that learns something before its first step."""
    if isinstance(method, LearnsBeforeTraining):
        generator = seeded_generator(seed, "first")
        rows = torch.randperm(len(data), generator=generator)[:MAPS_BEFORE_TRAINING]
        method.learn_before_training(data.batch(rows).maps, generator)


def make_monitor(data: TrainingSplit, view: Callable[[Batch], Tensor], config: TrainConfig) -> FeatureMonitor | None:
    """Make the monitor of the feature statistics, or return None if the settings ask for none."""
    if not config.watch or not config.epochs:
        return None
    return FeatureMonitor(data, view, config.watch, seeded_generator(config.seed, "watched features"))


def _has_passed(minutes: float, since: float) -> bool:
    """Tell whether so many minutes have passed; never with 0 minutes."""
    return bool(minutes) and time.monotonic() - since >= 60 * minutes


@contextmanager
def hold_interrupt() -> Iterator[Callable[[], int]]:
    """Hold Ctrl-C and SIGTERM back until the current step is finished; a second signal ends the process at once.

    Yields
    ------
    callable
        Returns the number of the signal that has arrived, 0 if none has.
    """
    if threading.current_thread() is not threading.main_thread():  # only the main thread may handle signals
        yield lambda: 0
        return
    arrived = 0

    def note(number: int, frame: object) -> None:
        nonlocal arrived
        if arrived:
            raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)
        arrived = number

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: arrived
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
