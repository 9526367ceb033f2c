"""Run folders: making one, and loading what was trained there.

=================  =============================================================
config.toml        the resolved config: run, train, method and task sections
environment.json   machine, versions, commit, command
metrics.jsonl      one row an epoch, more with train.log_every
checkpoints/       last.pt and previous.pt
samples/           pictures
status.json        how far it is
lock               held by the process that trains here
report.html        all of it to look at, by ``downstream.report``
=================  =============================================================
"""

import json
import shutil
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from data_prep.basis import Basis
from data_prep.maps.reader import MapFile, open_maps
from pretext.data.batch import Batch, Example
from pretext.data.standardise import Standardiser
from pretext.data.training_split import check_same_basis, read_batch
from pretext.method import Method, build_seeded
from pretext.methods.catalogue import find_method
from pretext.networks.feature_layers import DEFAULT, chosen
from pretext.tasks.catalogue import TaskEntry, find_task
from pretext.tasks.codes.feature_codes import find_codes
from pretext.tasks.codes.from_code import NONE, FromCodeConfig
from pretext.training.checkpoint import load_last_good
from pretext.training.distributed import ALONE, Processes
from pretext.training.trainer import Place, TrainConfig, seeded_generator
from spectral_ssl.ground.config import build_config, parse_settings, to_toml
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.files import file_digest, write_text
from spectral_ssl.ground.provenance import environment

ROWS_AT_ONCE = 256
FOLDER_EXISTS = "output exists already"


@dataclass(frozen=True)
class Plan:
    """Everything that says what a run does.

    Attributes
    ----------
    method, task : str
        Their names.
    train : TrainConfig
    method_config, task_config : object
        The configs of that method and task.
    data, data_digest : str
        The map file's absolute path and content digest.
    """

    method: str
    task: str
    train: TrainConfig
    method_config: Any
    task_config: Any
    data: str
    data_digest: str

    def to_toml(self) -> str:
        """The text of ``config.toml``."""
        run = {"method": self.method, "task": self.task, "data": self.data, "data_digest": self.data_digest}
        sections = {"run": run, "train": self.train, "method": self.method_config, "task": self.task_config}
        return to_toml(sections)

    @staticmethod
    def from_toml(text: str) -> "Plan":
        """Read what ``to_toml`` wrote; unknown keys are errors."""
        sections = tomllib.loads(text)
        run = sections["run"]
        method, task = find_method(run["method"]), find_task(run["task"])
        older = sections.get("method", {}).pop("precision", None)  # where it was a setting of joint-embedding alone
        if older is not None:
            sections.setdefault("train", {}).setdefault("precision", {"bfloat16": "bf16"}.get(older, "fp32"))
        return Plan(
            method=run["method"],
            task=run["task"],
            train=build_config(TrainConfig, sections.get("train", {}), "train"),
            method_config=build_config(method.config, sections.get("method", {}), "method"),
            task_config=build_config(task.config, sections.get("task", {}), "task"),
            data=run["data"],
            data_digest=run["data_digest"],
        )

    def build(self, standardiser: Standardiser, seed: int | None = None) -> Method:
        """The untrained method, its parameters drawn from ``seed`` (the plan's own by default)."""
        problem = replace(self.task_entry.problem(standardiser.basis, self.task_config), standardise=standardiser)
        own = self.train.seed if seed is None else seed
        method: Method = build_seeded(find_method(self.method).build, own, self.method_config, problem)
        return method

    @property
    def task_entry(self) -> TaskEntry:
        """What there is to know about the task."""
        return find_task(self.task)

    def corrupt(self, batch: Batch, generator: torch.Generator) -> Example:
        """Apply the task to a batch."""
        return self.task_entry.apply(batch, self.task_config, generator)

    def view(self, batch: Batch) -> torch.Tensor:
        """What of a batch features are taken from."""
        return self.task_entry.view(batch, self.task_config)

    def looks(self, maps: NDArray[np.float32], standardise: Standardiser) -> Iterator[torch.Tensor]:
        """The conditions (B, C, H, W) that the features of maps, not standardised, are taken from."""
        if self.task_entry.looks is not None:
            yield from self.task_entry.looks(maps, standardise, self.task_config)
        else:
            yield self.view(Batch(standardise(maps), standardise))


def describe_run(folder: Path, plan: Plan) -> None:
    """Write (again) the resolved config and the environment of a run."""
    write_text(folder / "config.toml", plan.to_toml())
    write_text(folder / "environment.json", json.dumps(environment(), indent=1) + "\n")


def start_run(folder: Path, plan: Plan) -> None:
    """Make a run folder with its config and environment.

    Raises
    ------
    UserError
        When the folder exists already, or cannot be made.
    """
    try:
        folder.mkdir(parents=True)
    except FileExistsError as error:
        raise UserError(FOLDER_EXISTS, str(folder), "choose another --out") from error
    except OSError as error:
        raise UserError(
            "cannot write there", f"{folder} ({error.strerror})", "choose another --out or --workspace"
        ) from error
    try:
        (folder / "checkpoints").mkdir()
        (folder / "samples").mkdir()
        describe_run(folder, plan)
    except BaseException:  # e.g. a full disk: the same command shall not find its own rest in its way
        shutil.rmtree(folder, ignore_errors=True)
        raise


def read_plan(folder: Path) -> Plan:
    """The plan of a run that has no checkpoint yet, from its ``config.toml``.

    Raises
    ------
    UserError
        When it is missing, or not what was written there.
    """
    path = folder / "config.toml"
    try:
        return Plan.from_toml(path.read_text(encoding="utf-8"))
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise UserError("unreadable run", f"{path} ({error})", "train again in another folder") from error


def run_under_way(plan: Plan, folders: Sequence[Path]) -> Path | None:
    """The first of the folders in which a run of this very plan was under way when its processes died, or None.

    One that was told to stop has stopped, and is not gone on with.
    """
    for folder in folders:
        try:
            same = (folder / "config.toml").read_text(encoding="utf-8") == plan.to_toml()
            state = json.loads((folder / "status.json").read_text(encoding="utf-8"))["state"]
            if same and state in ("running", "failed", "killed"):
                return folder
        except (OSError, ValueError, KeyError):
            continue
    return None


@dataclass(frozen=True)
class TrainedRun:
    """A run loaded for use.

    Attributes
    ----------
    folder : Path
    plan : Plan
    method : Method
        With the trained parameters and the state of its optimisers.
    standardise : Standardiser
        Basis and statistics of the data it was trained on; they hold for whatever it encodes.
    checkpoint : dict
        The checkpoint's content, for going on.
    checkpoint_digest : str
        SHA-256 of the checkpoint's file.
    checkpoint_path : Path
        That file.
    layer : str
        What of the network its features are, see ``pretext.networks.feature_layers``.
    """

    folder: Path
    plan: Plan
    method: Method
    standardise: Standardiser
    checkpoint: dict[str, Any]
    checkpoint_digest: str
    checkpoint_path: Path
    layer: str = DEFAULT

    @property
    def basis(self) -> Basis:
        """Basis of the maps it was trained on."""
        return self.standardise.basis

    def encode(self, maps: NDArray[np.floating] | torch.Tensor | MapFile) -> NDArray[np.float32]:
        """Features (N, D) float32 of maps (N, C, H, W) as they lie in a map file, not standardised; or of a whole file.

        Raises
        ------
        UserError
            When the maps have another shape than the run's, or the file another basis.
        """
        if isinstance(maps, MapFile):
            return self.encode_file(maps)
        maps = np.asarray(maps, np.float32)
        if maps.shape[1:] != self.basis.shape or not len(maps):
            wanted = "(N, " + ", ".join(str(side) for side in self.basis.shape) + ")"
            raise UserError("shape of the maps", maps.shape, f"give {wanted}, N at least 1")
        blocks = [maps[start : start + ROWS_AT_ONCE] for start in range(0, len(maps), ROWS_AT_ONCE)]
        with torch.no_grad():
            return np.concatenate([self.features_of(block).numpy() for block in blocks])

    def features_of(self, maps: NDArray[np.float32]) -> torch.Tensor:
        """Features (B, D) of maps (B, C, H, W), not standardised.

        Of several looks their mean and standard deviation, 2 D: neither depends on the looks' order.
        """
        found = [self.features(condition) for condition in self.plan.looks(maps, self.standardise)]
        if len(found) == 1:
            return found[0]
        looks = torch.stack(found)
        return torch.cat([looks.mean(dim=0), looks.std(dim=0, correction=0)], dim=1)

    def features(self, condition: torch.Tensor) -> torch.Tensor:
        """Features (B, D), with a gradient, of conditions (B, C, H, W) as the task's view gives them."""
        if self.layer == DEFAULT:
            return self.method.features(condition)
        found = self.method.layers(condition)
        if DEFAULT in self.layer.split("+"):
            found = {DEFAULT: self.method.features(condition), **found}
        return chosen(found, self.layer)

    def layers(self) -> dict[str, int]:
        """The layers by name, the default first, and how many features each has."""
        empty = np.zeros((1, *self.basis.shape), np.float32)
        first, *others = self.plan.looks(empty, self.standardise)
        with torch.no_grad():
            found = {DEFAULT: self.method.features(first), **self.method.layers(first)}
        return {name: (2 if others else 1) * features.shape[1] for name, features in found.items()}

    def at_layer(self, layer: str) -> "TrainedRun":
        """The same run with the features of another layer, or of several joined by ``+``.

        Raises
        ------
        UserError
            When there is no such layer.
        """
        layer = "+".join(name.strip() for name in layer.split("+"))
        chosen({name: torch.zeros(1, size) for name, size in self.layers().items()}, layer)
        return replace(self, layer=layer)

    def encode_file(
        self, maps: MapFile, rows: NDArray[np.int64] | None = None, processes: Processes = ALONE
    ) -> NDArray[np.float32]:
        """Features (N, D) float32 of the given rows of a file (all of them by default).

        They are made block by block, so that memory does not grow with the maps. The blocks are the same for any
        number of processes, so the features are too, bit for bit; only the first process gets them, others (0, 0).

        Raises
        ------
        UserError
            When the file's basis is not the run's.
        """
        return np.concatenate([*self.encode_blocks(maps, rows, processes)] or [np.empty((0, 0), np.float32)])

    def encode_blocks(
        self, maps: MapFile, rows: NDArray[np.int64] | None = None, processes: Processes = ALONE
    ) -> Iterator[NDArray[np.float32]]:
        """The same block by block, (B, D) each, for whoever need not hold them all; in the other processes nothing."""
        check_same_basis(self.basis, maps)
        wanted = maps.rows() if rows is None else rows
        blocks = np.array_split(wanted, max(1, len(wanted) // ROWS_AT_ONCE))
        yield from processes.in_turn([partial(self._encode_rows, maps, block) for block in blocks])

    def _encode_rows(self, maps: MapFile, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        return self.encode(maps.read(rows))

    def untrained(self, seed: int) -> "TrainedRun":
        """The same network with freshly drawn parameters."""
        return replace(
            self, method=self.plan.build(self.standardise, seed), checkpoint_digest=f"untrained, seed {seed}"
        )

    def with_task_settings(self, settings: Sequence[str]) -> "TrainedRun":
        """The same network asked in another way: ``key=value`` texts over the run's own task settings.

        Raises
        ------
        UserError
            On an unknown key or a bad value.
        """
        if not settings:
            return self
        config = self.plan.task_entry.config
        values = asdict(self.plan.task_config) | parse_settings(settings, {"task": config})["task"]
        return replace(self, plan=replace(self.plan, task_config=build_config(config, values, "task")))

    def example(self, maps: MapFile, rows: NDArray[np.int64], generator: torch.Generator) -> Example:
        """What the run's own task makes of the given rows of a map file.

        Raises
        ------
        UserError
            When the file's basis is not the run's, or the task needs clouds and the file has none.
        """
        check_same_basis(self.basis, maps)
        batch = read_batch(maps, self.standardise, rows, self.plan.task_entry.needs_points)
        config = self.plan.task_config
        if isinstance(config, FromCodeConfig) and config.features != NONE:
            batch = batch._replace(codes=torch.from_numpy(find_codes(config, maps, rows)))
        return self.plan.corrupt(batch, generator)

    def need_answers(self) -> None:
        """Raise a UserError when the method gives no answers."""
        if not self.method.answers:
            what_to_do = "export or probe its features, or give --run of a method that answers, e.g. cgml"
            raise UserError(
                f"the method {self.plan.method} gives features and no answers", str(self.folder), what_to_do
            )

    def complete(
        self, maps: MapFile, rows: NDArray[np.int64], modes: int, seed: int = 0, first: int = 0
    ) -> tuple[Example, torch.Tensor]:
        """Corrupt rows (N) of a map file with the run's own task and answer them, (N, modes, C', H, W), standardised.

        ``first`` is the place of the first map in a longer list, so that each block of it has a seed of its own.

        Raises
        ------
        UserError
            When the method gives no answers, or as ``example``.
        """
        self.need_answers()
        generator = seeded_generator(seed, "complete", first)
        example = self.example(maps, rows, generator)
        return example, self.method.complete(example.condition, modes, generator)


def held_out_rows(maps: MapFile, count: int) -> NDArray[np.int64]:
    """Up to ``count`` rows spread over the test split, or over all maps where there is none."""
    rows = maps.rows("test") if len(maps.rows("test")) else maps.rows()
    # spread, because neighbours in a file are often of one class
    return rows[np.linspace(0, len(rows) - 1, min(count, len(rows))).astype(int)]


def find_run_data(given: Path | str | MapFile | None, plan: Plan) -> MapFile:
    """The map file given, or the one the run was trained on.

    Raises
    ------
    UserError
        When it is gone, or nothing is given and the run's own file has other content by now.
    """
    if isinstance(given, MapFile):
        return given
    if given is not None:
        return open_maps(given)
    maps = open_maps(plan.data)
    if maps.digest != plan.data_digest:
        found = f"{plan.data} with digest {maps.digest[:12]}"
        raise UserError("the run's map file has changed", found, "name the data: --data or --target")
    return maps


def check_sizes(plan: Plan, standardiser: Standardiser, found: dict[str, torch.Tensor]) -> None:
    """See that a config asks for the network whose parameters are there, before room is made for that network.

    Raises
    ------
    ValueError
        When a parameter would be larger than the one that is there.
    """
    try:
        with torch.device("meta"):  # shapes without values
            wanted = plan.build(standardiser).state_dict()
    except (RuntimeError, TypeError):
        return  # a network that looks at its values while it is built
    for name, value in wanted.items():
        if name not in found or found[name].shape != value.shape:
            there = tuple(found[name].shape) if name in found else "nothing"
            raise ValueError(f"{name} of shape {tuple(value.shape)} in the config, {there} in the file")


def load_run(folder: Path | str) -> TrainedRun:
    """Load a run from its last checkpoint, or with a warning from the one before it when that is damaged.

    Raises
    ------
    UserError
        When the folder is no run, or its checkpoints are missing, damaged or of another version.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError("no such run", str(folder), "see `spectral-ssl list runs` or give another --run")
    content, path = load_last_good(folder / "checkpoints")
    try:
        plan = Plan.from_toml(content["config"])
        basis = Basis.from_json(content["basis"])
        # before room is made for a basis that is not that of these statistics
        if content["mean"].shape != basis.shape or content["std"].shape != basis.shape:
            raise ValueError(f"statistics of shape {tuple(content['mean'].shape)} for {basis.shape}")
        standardiser = Standardiser.from_statistics(basis, content["mean"], content["std"])
        check_sizes(plan, standardiser, content["model"])
        method = plan.build(standardiser)
        method.load_state_dict(content["model"])
        for name, optimizer in method.optimizers.items():
            optimizer.load_state_dict(content["optimizers"][name])
        Place(**content["place"])
    except (KeyError, IndexError, RuntimeError, TypeError, ValueError, AttributeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:100]
        raise UserError(
            "checkpoint does not fit its config", f"{path} ({reason})", "train again with this version"
        ) from error
    return TrainedRun(folder, plan, method, standardiser, content, file_digest(path), path)


def need_comparable(main: TrainedRun, others: Sequence[TrainedRun], maps: MapFile) -> None:
    """Raise a UserError unless all give answers, and the inputs that ``main`` makes of the maps suit the others."""
    for each in (main, *others):
        each.need_answers()
    problem = main.plan.task_entry.problem(main.basis, main.plan.task_config)
    for other in others:
        check_same_basis(other.basis, maps)
        if not (
            torch.equal(other.standardise.mean, main.standardise.mean)
            and torch.equal(other.standardise.std, main.standardise.std)
        ):
            what_to_do = "train it on the same map file: conditions of one run are in other units for the other"
            raise UserError("runs with other training statistics", str(other.folder), what_to_do)
        its = other.plan.task_entry.problem(other.basis, other.plan.task_config)
        if (its.condition, its.target) != (problem.condition, problem.target):
            raise UserError("runs of tasks that do not compare", str(other.folder), "give runs of one task")
