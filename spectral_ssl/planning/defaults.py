"""What ``pretrain`` trains when it is not told.

A file of Zernike moments or spherical harmonics with the clouds they were made from gets a joint embedding of altered
views: of what was measured on Zernike moments of ModelNet10 the best (docs/results.md). Everything else gets cGML
denoising, which needs nothing but maps. A method of a task of its own keeps that.
"""

import math
from typing import Any

from data_prep.maps.reader import MapFile
from pretext.methods.catalogue import find_method
from pretext.tasks.catalogue import find_task
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.progress import say

# Of the recipe joint-embedding-modelnet10, whose 60 epochs of 3928 objects are 1860 steps.
EPOCHS = 60
BATCH = 128
# Large data has seen enough after fewer epochs: a third of these steps was as good (docs/joint-embedding.md).
STEPS = 2000
FEWEST_EPOCHS = 10


def sections_for(maps: MapFile, method: str | None = None, task: str | None = None) -> dict[str, dict[str, Any]]:
    """The sections of a recipe for a map file; what is given of method and task is kept.

    Parameters
    ----------
    maps : MapFile
        What shall be trained on.
    method, task : str, optional
        What the user asked for.

    Returns
    -------
    dict of str to dict
        Section [run], and [train] and [method] where they depend on the data.
    """
    views = method in (None, "joint-embedding") and task in (None, "views")
    count = len(maps.rows("train"))
    if views and has_views(maps) and count > 1:  # of a single pair nothing is learnt
        batch = min(BATCH, max(count // 2, 2))
        epochs = min(EPOCHS, max(FEWEST_EPOCHS, math.ceil(STEPS / math.ceil(max(count, 1) / batch))))
        return {
            "run": {"method": "joint-embedding", "task": "views"},
            "train": {"epochs": epochs, "batch_size": batch, "precision": "bf16" if has_bfloat16() else "fp32"},
        }
    if method is None and task is None and maps.basis.kind in ("zernike", "sh") and not maps.has_points:
        say(f"{maps.path} has no clouds, which the better joint embedding needs (prep --keep-points): training cgml")
    chosen = method or (find_task(task).method if task else "cgml")
    return {"run": {"method": chosen, "task": task or find_method(chosen).task}}


def has_views(maps: MapFile) -> bool:
    """Whether the task ``views`` can work on a map file."""
    entry = find_task("views")
    try:
        entry.problem(maps.basis, entry.config())
    except UserError:
        return False
    return maps.has_points


def has_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 itself; others take longer with it than with float32."""
    import torch

    abilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return any(value is True for name, value in abilities.items() if "bf16" in name)
