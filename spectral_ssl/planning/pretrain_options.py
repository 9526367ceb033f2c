"""The options of ``pretrain``, for the function, the command line and the dry run."""

# ruff: noqa: RUF009 - `option` makes a field with a default, as `dataclasses.field` does

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from spectral_ssl.ground.errors import UserError
from spectral_ssl.planning.options import check_options, described, is_set, option, workspace_option

if TYPE_CHECKING:  # the command line prints its help without loading what reads a map file
    from data_prep.maps.reader import MapFile
    from pretext.runs.trained_run import TrainedRun


@dataclass(frozen=True)
class PretrainOptions:
    """The options of ``pretrain``; the texts of the fields describe them."""

    data: "str | Path | MapFile | None" = option(
        None,
        "Map file, or universe: new shapes in every epoch [the main file].",
        'The map file, or "universe": its reference file (prepared if it is missing) and ``train.fresh`` new shapes '
        "in every epoch. The default is the data set that the recipe names, prepared if it is missing. Without a "
        "recipe it is the main map file of the workspace (``spectral_ssl.planning.choose_maps``), or the built-in "
        "shapes if there is none.",
        kind="path or MapFile",
        reads=Path,
        with_resume=True,
    )
    _: KW_ONLY
    method: str | None = option(
        None,
        "A name of `list methods` [joint-embedding, cgml for shapes without clouds].",
        'The method, see ``spectral-ssl list``. The default is "joint-embedding" for images, and if the map file holds '
        'point clouds, as those of shapes do; else "cgml".',
        completes="methods",
    )
    task: str | None = option(
        None,
        "A name of `list tasks` [views, picture-views, denoise for shapes without clouds].",
        'The pretext task, see ``spectral-ssl list``. The default is "views" for the default method of map files with '
        'point clouds, "picture-views" for images, else the task of the method, mostly "denoise".',
        completes="tasks",
    )
    recipe: str | None = option(
        None,
        "A name of `list recipes`, or a TOML file.",
        "The name of a recipe, or a TOML file. All other options override the recipe.",
        completes="recipes",
    )
    epochs: int | None = option(
        None,
        "Passes over the training split.",
        "The number of passes over the training split; sets ``train.epochs``.",
        setting="train.epochs",
        with_resume=True,
    )
    max_minutes: float | None = option(
        None,
        "Stop cleanly after this time.",
        "The minutes after which training stops cleanly; sets ``train.max_minutes``.",
        setting="train.max_minutes",
        with_resume=True,
    )
    seed: int | None = option(
        None,
        "Seed of everything random.",
        "The seed of everything random; sets ``train.seed``.",
        setting="train.seed",
    )
    variant: str | None = option(
        None,
        "Of mr-gan, e.g. laplace-mr1 [gaussian-proxy-mr2].",
        "The variant of the method mr-gan; sets ``method.variant``.",
        setting="method.variant",
    )
    features: str | Path | None = option(
        None,
        "Of the task from-code: a feature file, a run, labels or none.",
        'The features of the task from-code: a feature file, a run (its features are exported first), "labels" or '
        '"none"; sets ``task.features``.',
        kind="path or str",
        reads=str,
        setting="task.features",
    )
    precision: str | None = option(
        None,
        "Of the layers in training: auto, fp32, bf16, fp16 [auto, or the recipe's].",
        "The precision of the layers in training; sets ``train.precision``.",
        setting="train.precision",
    )
    compile: bool | None = option(
        None,
        "Compile the networks with torch's compiler first.",
        "Whether torch's compiler compiles the networks first; sets ``train.compile``.",
        flag="--compile",
        setting="train.compile",
    )
    device: str = option(
        "auto",
        "Device of the training: auto (a GPU if it can be used, else the CPU), cpu, cuda, mps.",
        'The device of the training; "auto" is a GPU if one can be used, else the CPU.',
        names=("auto", "cpu", "cuda", "mps"),
        with_resume=True,
    )
    settings: "Sequence[str] | Mapping[str, Any]" = option(
        (),
        "key=value, any setting of the method, task or training; repeatable.",
        'A dict such as {"width": 8, "train.epochs": 3}, nested if you like, or texts "key=value". A key may name its '
        "section: train, method or task.",
        kind="dict, or sequence of str",
        reads=str,
        flag="--set",
        is_repeatable=True,
    )
    init_from: "str | Path | TrainedRun | None" = option(
        None,
        "Weights to start from: a run, an encoder, or none [universe-upright for few shapes, else none].",
        "The weights that a new run starts from: a run (its folder, its name in the workspace, or the loaded run), an "
        'encoder (a name of ``list encoders``, a folder, or ``hf:OWNER/NAME``), or "none" for random weights. Method, '
        "task and networks are then those of the run or the encoder, and so are the statistics that standardise the "
        'maps. The default is "universe-upright" for fewer than 1000 shapes with clouds and the basis of that encoder, '
        "if no recipe, method, task or settings of these are given; else random weights.",
        kind="str, path or TrainedRun",
        reads=str,
        completes="encoders",
    )
    resume: str | Path | None = option(
        None,
        "Run to resume exactly where it stopped.",
        "The run to resume exactly where it stopped. Only ``data``, ``epochs``, ``max_minutes`` and ``device`` may be "
        "given with it. The number of processes may differ. If a learning rate falls over the training, more epochs "
        "stretch its schedule: the run then differs from one that had so many epochs from the start.",
        reads=Path,
        completes="runs",
        with_resume=True,
    )
    out: str | Path | None = option(
        None,
        "Run folder to make [WS/runs/DATE-METHOD-TASK].",
        "The run folder to make; ``WS/runs/DATE-METHOD-TASK`` by default. It must not exist.",
        reads=Path,
    )
    report: bool = option(
        True,
        "Leave a short report.html in the run.",
        "Whether to leave a short ``report.html`` in the run folder.",
        with_resume=True,
    )
    workspace: str | Path | None = workspace_option(with_resume=True)

    def __post_init__(self) -> None:
        check_options(self)

    def check_resume(self) -> None:
        """Raise a UserError if a run is resumed with options that only a new run may have."""
        if self.resume is None:
            return
        fixed = [each.name for each, about in described(self) if not about.with_resume]
        if any(is_set(getattr(self, name)) for name in fixed):
            raise UserError("a resumed run keeps its settings", "other options with --resume", "leave them out")
