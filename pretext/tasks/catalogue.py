"""The list of pretext tasks. A task turns clean maps into conditions, targets and weights.

To add a task, write a module here with a frozen config dataclass and two functions like
``denoise_problem`` and ``denoise``. Then add an entry to ``TASKS`` and a line to
``DESCRIPTIONS`` in ``__init__.py``.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from data_prep.basis import Basis
from data_prep.maps.reader import MapFile
from pretext.data.batch import Batch, Example, Problem
from pretext.data.standardise import Standardiser
from pretext.data.training_split import TrainingSplit
from pretext.tasks import DESCRIPTIONS
from pretext.tasks.alternate import AlternateConfig, alternate, alternate_problem, find_absent_mark
from pretext.tasks.codes.feature_codes import find_codes_if_any
from pretext.tasks.codes.from_code import FromCodeConfig, from_code, from_code_problem
from pretext.tasks.codes.neighbour_pairs import CodedTrainingSplit
from pretext.tasks.colorize import ColorizeConfig, colorize, colorize_problem, lightness_view, to_colour_image
from pretext.tasks.complete_shape import (
    CompleteShapeConfig,
    complete_shape,
    complete_shape_problem,
    keeps_whole_shapes,
)
from pretext.tasks.corrupted import CorruptedConfig, corrupt_halves, corrupted_problem, list_wrong_targets
from pretext.tasks.denoise import DenoiseConfig, denoise, denoise_problem
from pretext.tasks.image_views import ImageViewsConfig, image_views, image_views_problem
from pretext.tasks.inpaint import InpaintConfig, inpaint, inpaint_problem
from pretext.tasks.mask_shape import MaskShapeConfig, mask_shape, mask_shape_problem
from pretext.tasks.super_resolve import (
    SuperResolveConfig,
    super_resolve,
    super_resolve_problem,
    super_resolve_view,
)
from pretext.tasks.toys.curve import ToyConfig, toy, toy_problem
from pretext.tasks.toys.mixture import MixtureConfig, mixture, mixture_problem, mixture_view
from pretext.tasks.translate import TranslateConfig, translate, translate_problem, translate_view
from pretext.tasks.views import ViewsConfig, inference_views, principal_view, views, views_problem
from spectral_ssl.ground.errors import unknown_name


def return_maps(batch: Batch, config: Any) -> Tensor:
    """Return the clean maps, which are the encoder's input for features."""
    return batch.maps


def return_true(config: Any) -> bool:
    """Return True: most tasks read the maps of a batch."""
    return True


def return_false(config: Any) -> bool:
    """Return False: the task computes all of its maps from the clouds."""
    return False


def clamp_to_image(condition: Tensor, prediction: Tensor, config: Any) -> Tensor:
    """Clamp predictions that are images to [-1, 1]."""
    return prediction.clamp(-1, 1)


@dataclass(frozen=True)
class TaskEntry:
    """A pretext task.

    Attributes
    ----------
    config : type
        The dataclass of its settings.
    apply : callable
        (batch, config, generator) -> Example. The generator is its only source of random numbers.
    description : str
        A description of one line.
    problem : callable
        (basis, config) -> Problem. It raises a UserError if the task cannot work on such data.
    view : callable
        (batch, config) -> conditions (B, C, H, W) without corruption, the input for features.
    inference_views : callable, optional
        (maps (B, C, H, W) not standardised, standardiser, config) -> iterator of conditions (B, C,
        H, W). At test time features are computed from all of them together; the collapse monitor
        uses ``view`` alone.
    needs_points : bool
        Whether batches must contain the clouds.
    to_image : callable
        (conditions, predictions, config) -> images (B, 1 or 3, H, W) in [-1, 1], for display and
        metrics; images only.
    method : str
        The method that is trained on the task by default.
    mixes : bool
        Whether a sample of a batch may change others. The task must then receive the whole batch at
        once.
    predicts : {"maps", "curve", "points"}
        Kind of the predictions: images or coefficients; values of the toy's curve; points in the
        plane, of Gaussians of standard deviation ``config.spread``.
    codes : callable, optional
        Only if conditions are codes: (config, maps, rows) -> codes (N, D) of these rows of a map
        file, or None if the config uses none. Such a config has the fields ``features``,
        ``dimensions`` and ``extractor``.
    reads_maps : callable
        config -> whether the task reads the maps of a batch. A task that computes all of its maps
        from the clouds says no, so that an endless stream of shapes need not compute them.
    training_split : callable, optional
        (maps, config, standardise=None) -> the training split, if it must hold more than maps and
        clouds.
    absent_mark : callable, optional
        (config, H, W) -> pixels (1, 1, H, W), bool, of a mark that other settings of the task add
        to targets, if these targets have none; else None.
    wrong_targets : callable, optional
        (example, config) -> targets (N, J, C, H, W) that a prediction might be taken for, if those of
        the example (N, C, H, W) are the right ones; else None.
    """

    config: type
    apply: Callable[[Batch, Any, torch.Generator], Example]
    description: str
    problem: Callable[[Basis, Any], Problem]
    view: Callable[[Batch, Any], Tensor] = return_maps
    inference_views: Callable[[NDArray[np.float32], Standardiser, Any], Iterator[Tensor]] | None = None
    needs_points: bool = False
    to_image: Callable[[Tensor, Tensor, Any], Tensor] = clamp_to_image
    method: str = "cgml"
    mixes: bool = False
    predicts: Literal["maps", "curve", "points"] = "maps"
    codes: Callable[[Any, MapFile, NDArray[np.int64]], NDArray[np.float32] | None] | None = None
    reads_maps: Callable[[Any], bool] = return_true
    training_split: Callable[..., TrainingSplit] | None = None
    absent_mark: Callable[[Any, int, int], Tensor | None] | None = None
    wrong_targets: Callable[[Example, Any], Tensor | None] | None = None

    def open_training_split(self, maps: MapFile, config: Any, standardise: Standardiser | None = None) -> TrainingSplit:
        """Open the training split of a map file with all that the task needs."""
        if self.training_split is not None:
            return self.training_split(maps, config, standardise=standardise)
        return TrainingSplit(maps, with_points=self.needs_points, standardise=standardise)

    def show_condition(self, example: Example) -> Example:
        """Return an example whose condition can be displayed: the target replaces a code."""
        return example if self.codes is None else example._replace(condition=example.target)


TASKS: dict[str, TaskEntry] = {
    "alternate": TaskEntry(
        AlternateConfig,
        alternate,
        DESCRIPTIONS["alternate"],
        alternate_problem,
        absent_mark=find_absent_mark,
    ),
    "colorize": TaskEntry(
        ColorizeConfig,
        colorize,
        DESCRIPTIONS["colorize"],
        colorize_problem,
        lightness_view,
        to_image=to_colour_image,
    ),
    "complete-shape": TaskEntry(
        CompleteShapeConfig,
        complete_shape,
        DESCRIPTIONS["complete-shape"],
        complete_shape_problem,
        needs_points=True,
        reads_maps=keeps_whole_shapes,
    ),
    "corrupted": TaskEntry(
        CorruptedConfig,
        corrupt_halves,
        DESCRIPTIONS["corrupted"],
        corrupted_problem,
        mixes=True,
        wrong_targets=list_wrong_targets,
    ),
    "denoise": TaskEntry(DenoiseConfig, denoise, DESCRIPTIONS["denoise"], denoise_problem),
    "from-code": TaskEntry(
        FromCodeConfig,
        from_code,
        DESCRIPTIONS["from-code"],
        from_code_problem,
        method="lsc-gan",
        codes=find_codes_if_any,
        training_split=CodedTrainingSplit,
    ),
    "inpaint": TaskEntry(InpaintConfig, inpaint, DESCRIPTIONS["inpaint"], inpaint_problem),
    "picture-views": TaskEntry(
        ImageViewsConfig,
        image_views,
        DESCRIPTIONS["picture-views"],
        image_views_problem,
        method="joint-embedding",
    ),
    "mask-shape": TaskEntry(
        MaskShapeConfig,
        mask_shape,
        DESCRIPTIONS["mask-shape"],
        mask_shape_problem,
        needs_points=True,
        reads_maps=return_false,
    ),
    "mixture": TaskEntry(
        MixtureConfig,
        mixture,
        DESCRIPTIONS["mixture"],
        mixture_problem,
        mixture_view,
        predicts="points",
    ),
    "super-resolve": TaskEntry(
        SuperResolveConfig,
        super_resolve,
        DESCRIPTIONS["super-resolve"],
        super_resolve_problem,
        super_resolve_view,
    ),
    "toy": TaskEntry(ToyConfig, toy, DESCRIPTIONS["toy"], toy_problem, predicts="curve"),
    "translate": TaskEntry(TranslateConfig, translate, DESCRIPTIONS["translate"], translate_problem, translate_view),
    "views": TaskEntry(
        ViewsConfig,
        views,
        DESCRIPTIONS["views"],
        views_problem,
        principal_view,
        inference_views,
        needs_points=True,
        reads_maps=return_false,
        method="joint-embedding",
    ),
}


def find_task(name: str) -> TaskEntry:
    """Return the task of a name.

    Raises
    ------
    UserError
        If there is no such task.
    """
    if name not in TASKS:
        raise unknown_name("task", name, TASKS)
    return TASKS[name]
