"""Choose the method and the task of ``pretrain`` by the data, where the user does not.

A file of Zernike moments or spherical harmonics that holds its point clouds gets the joint
embedding of altered views, which had the best scores on Zernike moments of ModelNet10
(docs/results.md). All other files get cGML denoising, which needs nothing but maps. A method with a
default task of its own keeps that task.
"""

import math
from typing import Any

from data_prep.maps.reader import MapFile
from pretext.methods.catalogue import find_method
from pretext.tasks.catalogue import find_task
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.progress import say

# As in the recipe joint-embedding-modelnet10, whose 60 epochs of 3928 objects are 1860 steps.
EPOCHS = 60
BATCH = 128
# Large data needs fewer epochs: a third of these steps was as good (docs/joint-embedding.md).
STEPS = 2000
FEWEST_EPOCHS = 10


def choose_sections(maps: MapFile, method: str | None = None, task: str | None = None) -> dict[str, dict[str, Any]]:
    """Choose the sections of a recipe for a map file.

    Parameters
    ----------
    maps : MapFile
        The maps to train on.
    method, task : str, optional
        The names that the user gave; they are not changed.

    Returns
    -------
    dict of str to dict
        The section [run], and [train] where it depends on the data.
    """
    may_have_views = method in (None, "joint-embedding") and task in (None, "views")
    count = len(maps.rows("train"))
    if may_have_views and has_views(maps) and count > 1:  # a single pair teaches nothing
        batch = min(BATCH, max(count // 2, 2))
        epochs = min(EPOCHS, max(FEWEST_EPOCHS, math.ceil(STEPS / math.ceil(max(count, 1) / batch))))
        return {
            "run": {"method": "joint-embedding", "task": "views"},
            "train": {"epochs": epochs, "batch_size": batch, "precision": "bf16" if has_bfloat16() else "fp32"},
        }
    if method is None and task is None and maps.basis.kind in ("zernike", "sh") and not maps.has_points:
        say(f"{maps.path} has no point clouds (prep --keep-points), which the joint embedding needs: training cgml")
    chosen = method or (find_task(task).method if task else "cgml")
    return {"run": {"method": chosen, "task": task or find_method(chosen).task}}


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
