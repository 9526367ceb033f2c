"""Choose the method and the task of ``pretrain`` by the data, where the user does not.

A file of Zernike moments or spherical harmonics that holds its point clouds gets the joint
embedding of altered views, which had the best scores on Zernike moments of ModelNet10
(docs/results.md). Images get the joint embedding of altered images, with filters of patches. All
other files get cGML denoising, which needs nothing but maps. A method with a default task of its own
keeps that task.
"""

import math
import shlex
from typing import Any

import numpy as np

from data_prep.maps.common_pose import NO_COMMON_POSE, measure_pose_agreement
from data_prep.maps.reader import MapFile
from pretext.methods.catalogue import find_method
from pretext.runs.plan import Plan
from pretext.tasks.catalogue import find_task
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.progress import say
from spectral_ssl.planning.new_run.universe import size_stream

# As in the recipe joint-embedding-modelnet10, whose 60 epochs of 3928 objects are 1860 steps.
EPOCHS = 60
BATCH = 128
# Large data needs fewer epochs: a third of these steps was as good (docs/joint-embedding.md).
STEPS = 2000
FEWEST_EPOCHS = 10
# For images, as in the recipe joint-embedding-facades: 400 filters, views of 3/4 of the side. Measured on
# 200 images of CIFAR-10 by a linear probe on 1000 others: 0.42 after these 200 steps, 0.39 after 40, 0.35
# untrained, 0.27 the pixels; the standard error is 0.016. A step took a sixteenth of one of cGML's.
IMAGE_BATCH = 256
IMAGE_STEPS, IMAGE_EPOCHS = 400, 100
FILTERS = 400
SMALLEST_IMAGE, SMALLEST_CUT = 8, 32  # pixels on a side: to be trained on, and to have smaller views
FEW = 200  # maps of the training split


def choose_sections(
    maps: MapFile, method: str | None = None, task: str | None = None, fresh: int = 0
) -> dict[str, dict[str, Any]]:
    """Choose the sections of a recipe for a map file.

    Parameters
    ----------
    maps : MapFile
        The maps to train on.
    method, task : str, optional
        The names that the user gave; they are not changed.
    fresh : int
        Number of new shapes of the universe in each epoch, 0 for the maps of the file.

    Returns
    -------
    dict of str to dict
        The section [run], and the settings that depend on the data.
    """
    count = len(maps.rows("train"))
    if _may_have_image_views(maps, method, task) and count > 1:
        return _choose_for_images(maps, count)
    may_have_views = method in (None, "joint-embedding") and task in (None, "views")
    if may_have_views and has_views(maps) and count > 1:  # a single pair teaches nothing
        batch = min(BATCH, max(count // 2, 2))
        epochs = min(EPOCHS, max(FEWEST_EPOCHS, math.ceil(STEPS / math.ceil(max(count, 1) / batch))))
        sizes = size_stream(fresh) if fresh else {"epochs": epochs, "batch_size": batch}
        return {
            "run": {"method": "joint-embedding", "task": "views"},
            "train": {**sizes, "precision": "bf16" if has_bfloat16() else "fp32"},
        }
    if method is None and task is None and maps.basis.kind in ("zernike", "sh") and not maps.has_points:
        say(f"{maps.path} has no point clouds (prep --keep-points), which the joint embedding needs: training cgml")
    if method is None and task is None and maps.basis.kind == "pixels" and count <= 1:
        say(f"{maps.path} has {count} training image{'s' * (count != 1)}; the joint embedding needs two: training cgml")
    elif method is None and task is None and maps.basis.kind == "pixels":
        say(f"{maps.path} has images below {SMALLEST_IMAGE} pixels, too small for the joint embedding: training cgml")
    chosen = method or (find_task(task).method if task else "cgml")
    stream = {"train": size_stream(fresh)} if fresh else {}
    return {"run": {"method": chosen, "task": task or find_method(chosen).task}, **stream}


def _may_have_image_views(maps: MapFile, method: str | None, task: str | None) -> bool:
    """Tell whether the joint embedding of altered images suits a map file and the names that the user gave."""
    is_image = maps.basis.kind == "pixels" and min(maps.basis.shape[1:]) >= SMALLEST_IMAGE
    return is_image and method in (None, "joint-embedding") and task in (None, "picture-views")


def _choose_for_images(maps: MapFile, count: int) -> dict[str, dict[str, Any]]:
    """Choose the joint embedding of altered images, with sizes that suit the number and the size of the images."""
    channels, height, width = maps.basis.shape
    batch = min(IMAGE_BATCH, max(count // 2, 2))
    epochs = min(IMAGE_EPOCHS, max(FEWEST_EPOCHS, math.ceil(IMAGE_STEPS / math.ceil(count / batch))))
    # smaller views take less time; views that are not square would be if they had a side
    has_smaller_views = height == width >= SMALLEST_CUT
    return {
        "run": {"method": "joint-embedding", "task": "picture-views"},
        "train": {"epochs": epochs, "batch_size": batch, "precision": "bf16" if has_bfloat16() else "fp32"},
        "method": {"filters": FILTERS},
        # the mirror image of a grey digit or letter is another sign
        "task": {"side": 3 * height // 4 if has_smaller_views else 0, "mirror": channels > 1},
    }


def list_advice(plan: Plan, maps: MapFile) -> list[str]:
    """List what the user should know about the data before a training.

    Parameters
    ----------
    plan : Plan
        The plan of the training.
    maps : MapFile
        The maps to train on.

    Returns
    -------
    list of str
        A line for each matter; usually none.
    """
    if plan.train.data.fresh:
        return []
    lines, count = [], len(maps.rows("train"))
    if count < FEW and not plan.init_from:
        lines.append(_advise_on_few(maps, count))
    if plan.task == "views" and plan.task_config.pose == "upright":
        agreement = measure_pose_agreement(maps)
        if agreement is not None and agreement < NO_COMMON_POSE:
            change = "--init-from universe-any-pose" if plan.init_from else "--set pose=principal"
            lines.append(
                f"the objects have no common pose (agreement of their principal axes {agreement:.2f}; rotated at "
                f"random 0, upright furniture 0.16 and more): `{change}` gives features that do not depend on the pose"
            )
    return lines


def _advise_on_few(maps: MapFile, count: int) -> str:
    """Say what helps where the maps are few: a comparison, and the built-in shapes for shapes of the user."""
    has_classes = len(np.unique(maps.labels[maps.labels >= 0])) > 1
    compare = "; compare with `spectral-ssl probe`" if has_classes else ""
    few = f"few data: {count} maps to train on. Below {FEW}, untrained features are often as good{compare}."
    basis, is_built_in = maps.basis, maps.source.partition(":")[0] == "shapes"
    if basis.kind not in ("zernike", "sh", "radial") or is_built_in:
        return f"{few} More {'images' if basis.kind == 'pixels' else 'objects'} help"
    words = ["--basis sh --sphere radial" if basis.kind == "radial" else f"--basis {basis.kind}"]
    words.append(f"--degree {basis.degree}")
    if basis.kind == "sh" or (basis.kind == "zernike" and basis.truncation != "triangular"):
        words.append(f"--radial {basis.radial}")
    words += ["--sampling solid"] if basis.sampling == "solid" else []
    words += [f"--reach {basis.reach:g}"] if basis.reach != 1 else []
    return (
        f"{few} Or learn on the built-in shapes: `spectral-ssl prep {' '.join(words)} --out shapes.h5`, `spectral-ssl "
        f"pretrain --data shapes.h5`, `spectral-ssl export --data {shlex.quote(str(maps.path))}`"
    )


def has_views(maps: MapFile) -> bool:
    """Tell whether the task ``views`` can work on a map file."""
    entry = find_task("views")
    try:
        entry.problem(maps.basis, entry.config())
    except UserError:
        return False
    return maps.has_points


def has_bfloat16() -> bool:
    """Tell whether the processor multiplies bfloat16 in hardware; elsewhere bfloat16 is slower than float32."""
    import torch

    abilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return any(value is True for name, value in abilities.items() if "bf16" in name)
