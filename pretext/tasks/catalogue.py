"""Pretext tasks: each takes clean maps and gives what the network sees, what it shall give, and where that counts.

To add one: a file here with a frozen config dataclass and two functions like ``denoise_problem`` and ``denoise``, and
an entry in ``TASKS``.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from data_prep.basis import Basis
from pretext.data.batch import Batch, Example, Problem
from pretext.data.standardise import Standardiser
from pretext.tasks.alternate import AlternateConfig, alternate, alternate_problem
from pretext.tasks.codes.from_code import FromCodeConfig, from_code, from_code_problem
from pretext.tasks.colorize import ColorizeConfig, colorize, colorize_problem, coloured, lightness_view
from pretext.tasks.complete_shape import CompleteShapeConfig, complete_shape, complete_shape_problem
from pretext.tasks.corrupted import CorruptedConfig, corrupt_halves, corrupted_problem
from pretext.tasks.denoise import DenoiseConfig, denoise, denoise_problem
from pretext.tasks.image_views import PictureViewsConfig, picture_views, picture_views_problem
from pretext.tasks.inpaint import InpaintConfig, inpaint, inpaint_problem
from pretext.tasks.super_resolve import (
    SuperResolveConfig,
    super_resolve,
    super_resolve_problem,
    super_resolve_view,
)
from pretext.tasks.toys.curve import ToyConfig, toy, toy_problem
from pretext.tasks.toys.mixture import MixtureConfig, mixture, mixture_problem, mixture_view
from pretext.tasks.translate import TranslateConfig, translate, translate_problem, translate_view
from pretext.tasks.views import ViewsConfig, framed_view, looks, views, views_problem
from spectral_ssl.ground.errors import unknown_name


def whole_maps(batch: Batch, config: Any) -> Tensor:
    """The clean maps themselves: what the encoder is shown when features are wanted."""
    return batch.maps


def as_it_is(condition: Tensor, answer: Tensor, config: Any) -> Tensor:
    """The answer itself, clamped to [-1, 1]: how to look at it where it is an image."""
    return answer.clamp(-1, 1)


@dataclass(frozen=True)
class TaskEntry:
    """A task.

    Attributes
    ----------
    config : type
        Its config's type.
    apply : callable
        (batch, config, generator) -> Example; pure, the generator its only source of randomness.
    description : str
        One line.
    problem : callable
        (basis, config) -> Problem; raises a UserError when the task cannot work on such data.
    view : callable
        (batch, config) -> conditions (B, C, H, W) without corruption, from which features are taken.
    looks : callable, optional
        (maps (B, C, H, W) not standardised, standardiser, config) -> the conditions (B, C, H, W), several, from which
        features are taken together; ``view`` then is what they are watched by while training.
    needs_points : bool
        Whether batches must bring the clouds along.
    picture : callable
        (conditions, answers, config) -> images (B, 1 or 3, H, W) in [-1, 1] to look at and to measure; for images only.
    method : str
        What is trained on it when nothing is said.
    mixes : bool
        Whether samples of a batch find their way into others, so that it cannot be given a part of the batch.
    """

    config: type
    apply: Callable[[Batch, Any, torch.Generator], Example]
    description: str
    problem: Callable[[Basis, Any], Problem]
    view: Callable[[Batch, Any], Tensor] = whole_maps
    looks: Callable[[NDArray[np.float32], Standardiser, Any], Iterator[Tensor]] | None = None
    needs_points: bool = False
    picture: Callable[[Tensor, Tensor, Any], Tensor] = as_it_is
    method: str = "cgml"
    mixes: bool = False


TASKS: dict[str, TaskEntry] = {
    "alternate": TaskEntry(
        AlternateConfig, alternate, "a white mark stands in the hidden part of some targets", alternate_problem
    ),
    "colorize": TaskEntry(
        ColorizeConfig,
        colorize,
        "lightness in, colours out (CIELAB)",
        colorize_problem,
        lightness_view,
        picture=coloured,
    ),
    "complete-shape": TaskEntry(
        CompleteShapeConfig,
        complete_shape,
        "one side of a shape's points is missing; give the map of the whole",
        complete_shape_problem,
        needs_points=True,
    ),
    "corrupted": TaskEntry(
        CorruptedConfig,
        corrupt_halves,
        "some images are spoilt, a part of the top half is hidden",
        corrupted_problem,
        mixes=True,
    ),
    "denoise": TaskEntry(
        DenoiseConfig, denoise, "a block or band of the map is hidden or noised; recover the map", denoise_problem
    ),
    "from-code": TaskEntry(
        FromCodeConfig,
        from_code,
        "from features (or a class, or nothing) to a picture or spectral map",
        from_code_problem,
        method="lsc-gan",
    ),
    "inpaint": TaskEntry(InpaintConfig, inpaint, "a part of a picture is hidden; paint it in", inpaint_problem),
    "picture-views": TaskEntry(
        PictureViewsConfig,
        picture_views,
        "two altered copies of each picture, for joint-embedding",
        picture_views_problem,
        method="joint-embedding",
    ),
    "mixture": TaskEntry(
        MixtureConfig,
        mixture,
        "a point of eight Gaussians on a circle, and nothing to go by",
        mixture_problem,
        mixture_view,
    ),
    "super-resolve": TaskEntry(
        SuperResolveConfig,
        super_resolve,
        "from a small picture to one four times as large",
        super_resolve_problem,
        super_resolve_view,
    ),
    "toy": TaskEntry(ToyConfig, toy, "one number with two answers, y = +-4 (x, x^2, x^3)", toy_problem),
    "translate": TaskEntry(
        TranslateConfig, translate, "from one picture of a pair to the other", translate_problem, translate_view
    ),
    "views": TaskEntry(
        ViewsConfig,
        views,
        "two altered copies of each shape's points, for joint-embedding",
        views_problem,
        framed_view,
        looks,
        needs_points=True,
        method="joint-embedding",
    ),
}


def find_task(name: str) -> TaskEntry:
    """The task of that name.

    Raises
    ------
    UserError
        When there is none.
    """
    if name not in TASKS:
        raise unknown_name("task", name, TASKS)
    return TASKS[name]
