"""The plan of a run: everything that says what it trains, and on which data."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from pretext.data.alter_images import alter_images
from pretext.data.batch import Batch, Example
from pretext.data.standardise import Standardiser
from pretext.method import Method, build_seeded
from pretext.methods.catalogue import find_method
from pretext.tasks.catalogue import TaskEntry, find_task
from pretext.training.config import TrainConfig
from spectral_ssl.ground.config import Settings, build_config, merge_settings, parse_settings, parse_toml, to_toml

DISCRIMINATOR = "discriminator"  # the name of its optimiser in every adversarial method
WITH_NEW_DISCRIMINATORS = ("bicycle-gan", "mr-gan", "pix2pix")


@dataclass(frozen=True)
class Plan:
    """Everything that says what a run does.

    Attributes
    ----------
    method, task : str
        Names of the method and of the task.
    train : TrainConfig
        Settings of the training loop.
    method_config, task_config : object
        Settings of the method and of the task.
    data, data_digest : str
        The map file's absolute path, and the digest of its content.
    init_from, init_digest : str
        The run or the encoder whose weights the training starts from, as a name or an absolute
        path, and the digest of its weights; empty for random weights.
    """

    method: str
    task: str
    train: TrainConfig
    method_config: Any
    task_config: Any
    data: str
    data_digest: str
    init_from: str = ""
    init_digest: str = ""

    def to_toml(self) -> str:
        """Write the text of ``config.toml``."""
        run = {"method": self.method, "task": self.task, "data": self.data, "data_digest": self.data_digest}
        if self.init_from:
            run |= {"init_from": self.init_from, "init_digest": self.init_digest}
        sections = {"run": run, "train": self.train, "method": self.method_config, "task": self.task_config}
        return to_toml(sections)

    @staticmethod
    def from_toml(text: str) -> "Plan":
        """Read what ``to_toml`` wrote; unknown keys are errors."""
        sections = parse_toml(text)
        run = sections["run"]
        method, task = find_method(run["method"]), find_task(run["task"])
        # Version 0.1 had the precision in the settings of joint-embedding.
        older = sections.get("method", {}).pop("precision", None)
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
            init_from=run.get("init_from", ""),
            init_digest=run.get("init_digest", ""),
        )

    def build(self, standardiser: Standardiser, seed: int | None = None) -> Method:
        """Build the untrained method; its initial parameters follow from ``seed``, the plan's own by default."""
        problem = replace(self.task_entry.problem(standardiser.basis, self.task_config), standardise=standardiser)
        seed = self.train.seed if seed is None else seed
        method: Method = build_seeded(find_method(self.method).build, seed, self.method_config, problem)
        return method

    @property
    def task_entry(self) -> TaskEntry:
        """The task's entry in the catalogue."""
        return find_task(self.task)

    def with_task_settings(self, settings: Settings) -> "Plan":
        """Return the same plan with other settings of its task, a dict or texts ``key=value``."""
        config = self.task_entry.config
        texts = parse_settings(settings, {"task": config})["task"]
        values = merge_settings(config, "task", asdict(self.task_config), texts)
        return replace(self, task_config=build_config(config, values, "task"))

    def corrupt(self, batch: Batch, generator: torch.Generator) -> Example:
        """Apply the task to a batch."""
        return self.task_entry.apply(batch, self.task_config, generator)

    def corrupt_training(self, batch: Batch, generator: torch.Generator) -> Example:
        """Alter the images of a training batch as the plan says, and apply the task."""
        if self.train.data.enlarge or self.train.data.flip:
            images = alter_images(batch.maps, self.train.data.enlarge, self.train.data.flip, generator)
            batch = batch._replace(maps=images)
        return self.corrupt(batch, generator)

    def view(self, batch: Batch) -> torch.Tensor:
        """Return the conditions of a batch without corruption, from which features are computed."""
        return self.task_entry.view(batch, self.task_config)

    def inference_views(self, maps: NDArray[np.float32], standardise: Standardiser) -> Iterator[torch.Tensor]:
        """Generate the conditions (B, C, H, W) from which the features of maps, not standardised, are computed.

        Most tasks have one view of each map. The features of several views are combined.
        """
        if self.task_entry.inference_views is not None:
            yield from self.task_entry.inference_views(maps, standardise, self.task_config)
        else:
            yield self.view(Batch(standardise(maps), standardise))

    def check_sizes(
        self,
        standardiser: Standardiser,
        parameters: dict[str, torch.Tensor],
        *,
        features_only: bool = False,
        skip: Callable[[str], bool] | None = None,
    ) -> None:
        """Check that stored parameters have the shapes of the plan's network, before memory is reserved for it.

        With ``features_only`` those that only training needs may be missing. Names for which
        ``skip`` is true are not compared.

        Raises
        ------
        ValueError
            If a parameter is missing or has another shape.
        """
        try:
            with torch.device("meta"):  # shapes without values
                method = self.build(standardiser)
            wanted = method.feature_state() if features_only else method.state_dict()
        except (RuntimeError, TypeError):
            return  # a network whose construction depends on values
        for name, value in wanted.items():
            if skip is not None and skip(name):
                continue
            if name not in parameters or parameters[name].shape != value.shape:
                there = tuple(parameters[name].shape) if name in parameters else "nothing"
                raise ValueError(f"{name} of shape {tuple(value.shape)} in the config, {there} in the file")


def _is_of_discriminator(name: str) -> bool:
    return name.split(".")[0] in (DISCRIMINATOR, f"{DISCRIMINATOR}s")


def _has_older_discriminator(plan: Plan, standardiser: Standardiser, parameters: dict[str, torch.Tensor]) -> bool:
    """Tell whether a discriminator was written before discriminators had the layers of the authors' code."""
    if plan.method not in WITH_NEW_DISCRIMINATORS:
        return False
    problem = plan.task_entry.problem(standardiser.basis, plan.task_config)
    first = parameters.get("discriminators.0.layers.0.weight")  # BicycleGAN's on points saw the condition too
    if first is not None and first.ndim == 2 and first.shape[1] == problem.condition[0] + problem.target[0]:
        return True
    return any(_is_of_discriminator(name) and ".halve." in name for name in parameters)


def fit_discriminator(plan: Plan, standardiser: Standardiser, content: dict[str, Any]) -> dict[str, Any]:
    """Return a checkpoint's content, with a new discriminator if its own has layers of an earlier version.

    Features and predictions come from other networks, so such a run stays useful.

    Parameters
    ----------
    plan : Plan
        What the run was trained on, and how.
    standardiser : Standardiser
        Basis and statistics of its data.
    content : dict
        The checkpoint's content; it is left as it is.

    Returns
    -------
    dict
        The same content if all shapes fit. A new discriminator is named by the key
        "has_new_discriminator".

    Raises
    ------
    ValueError
        If the shapes of a network do not fit the plan.
    """
    given = content["model"]
    is_older = _has_older_discriminator(plan, standardiser, given)
    plan.check_sizes(standardiser, given, skip=_is_of_discriminator if is_older else None)
    if not is_older:
        return content
    built = plan.build(standardiser)
    fresh = {name: value for name, value in built.state_dict().items() if _is_of_discriminator(name)}
    kept = {name: value for name, value in given.items() if not _is_of_discriminator(name)}
    optimisers = {**content["optimizers"], DISCRIMINATOR: built.optimizers[DISCRIMINATOR].state_dict()}
    return {**content, "model": {**kept, **fresh}, "optimizers": optimisers, "has_new_discriminator": True}
