"""What the tasks on pictures ask of the data."""

from data_prep.basis import PAIR, Basis
from spectral_ssl.ground.errors import UserError


def need_pictures(
    task: str, basis: Basis, *, channels: int | None = None, smallest_side: int = 1, other: str = "denoise"
) -> None:
    """Raise a UserError unless a basis is that of single pictures as the task wants them.

    Parameters
    ----------
    task : str
        Its name, for the message.
    basis : Basis
        Of the map file.
    channels : int, optional
        How many colour channels it must have; any number by default.
    smallest_side : int
        Fewest rows and columns.
    other : str
        The task to name for data that is no pictures.
    """
    if basis.kind != "pixels":
        what_to_do = f"prepare pictures, e.g. `spectral-ssl prep --dataset cifar10`, or take the task {other}"
        raise UserError(f"the task {task} works on pictures", f"maps of kind {basis.kind!r}", what_to_do)
    if basis.layout == PAIR:
        what_to_do = "prepare one side of them with `--side A` or `--side B`, or take the task translate"
        raise UserError(f"the task {task} works on single pictures", "a map file of paired images", what_to_do)
    if channels is not None and basis.shape[0] != channels:
        kind = "colour" if channels == 3 else "grey"
        got = f"{basis.shape[0]} channels"
        raise UserError(f"the task {task} works on {kind} pictures", got, f"prepare pictures with {channels} channels")
    if min(basis.shape[1:]) < smallest_side:
        got = f"{basis.shape[1]} x {basis.shape[2]} pixels"
        what_to_do = f"prepare them with --size {max(32, smallest_side)}"
        raise UserError(f"the task {task} needs pictures of {smallest_side} pixels a side", got, what_to_do)
