"""Write predicted spectral maps as surfaces, which other programs open.

Letters in shapes: K predictions, C, H, W of a map.
"""

from pathlib import Path

from torch import Tensor

from data_prep.transforms.inverse import reconstruct
from pretext.runs.trained_run import TrainedRun
from spectral_ssl.ground.errors import ObjectError, UserError
from spectral_ssl.ground.files import atomic_path
from spectral_ssl.ground.progress import say


def name_surfaces(out: Path, count: int) -> list[Path]:
    """Return the names of so many surfaces next to a file of completions: OUT-1.ply, OUT-2.ply and so on."""
    return [out.with_name(f"{out.stem}-{number}.ply") for number in range(1, count + 1)]


def write_surfaces(out: Path, run: TrainedRun, predictions: Tensor, *, overwrite: bool) -> list[Path]:
    """Write the surface of each prediction of one object, and say what was written.

    A prediction that describes no surface is left out, with its reason.

    Parameters
    ----------
    out : Path
        File of the completions, from which ``name_surfaces`` makes the names.
    run : TrainedRun
        Run on maps of shapes that made the predictions.
    predictions : Tensor, shape (K, C, H, W)
        Standardised maps.
    overwrite : bool
        Whether existing files may be replaced.

    Returns
    -------
    list of Path
        Files that were written, in PLY, in the unit ball with +z up.

    Raises
    ------
    UserError
        If a file exists and may not be replaced.
    """
    import trimesh

    written = []
    for path, prediction in zip(name_surfaces(out, len(predictions)), predictions, strict=True):
        try:
            shape = reconstruct(run.standardise.undo(prediction).numpy(), run.basis)
        except (UserError, ObjectError) as error:
            path.unlink(missing_ok=True)  # of an earlier call: it is there only if it may be replaced
            say(f"{path.name} is not written: {error}")
            continue
        mesh = trimesh.Trimesh(shape.points, shape.faces, process=False)
        with atomic_path(path, overwrite=overwrite) as temporary:
            mesh.export(temporary, file_type="ply")
        written.append(path)
    if written:
        say(f"surfaces: {', '.join(map(str, written))}")
    count = len(predictions) + 1
    while (older := name_surfaces(out, count)[-1]).exists():
        say(f"{older} is of an earlier call")
        count += 1
    return written
