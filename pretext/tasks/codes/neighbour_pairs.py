"""The training split of the task from-code: maps, their codes and their neighbours.

The neighbours are mined once over the training split, because the network that computed the
features is frozen. They depend on the feature file and the config alone, so a resumed run has the
same ones. They are stored next to the feature file, for other runs on the same features.

Letters in shapes: B batch, N samples of the split, D values of a code.
"""

from hashlib import sha256
from pathlib import Path
from zipfile import ZIP_STORED, BadZipFile, ZipFile

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from data_prep.maps.reader import MapFile
from pretext.data.batch import Batch
from pretext.data.standardise import Standardiser
from pretext.data.training_split import TrainingSplit
from pretext.neighbours.approximate import find_approximate_neighbours
from pretext.neighbours.exact import Neighbours, find_exact_neighbours
from pretext.tasks.codes.feature_codes import find_codes
from pretext.tasks.codes.from_code import NONE, FromCodeConfig
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.files import atomic_path
from spectral_ssl.ground.progress import say

# Up to this number of differences all pairs are compared (about 20 minutes of one thread). Above
# it, neighbours are approximate.
MOST_DIFFERENCES = 10**13
DIFFERENCES_A_SECOND = 9e9  # of one thread, benchmarks/results/mining.json


class CodedTrainingSplit(TrainingSplit):
    """The maps of one split with their codes.

    Parameters
    ----------
    maps : MapFile
        The map file.
    config : FromCodeConfig
        Settings with dimensions and digest (``pretext.tasks.codes.feature_codes.settle_codes``).
    split : str or None
        Name of the split; None for all maps.
    standardise : Standardiser, optional
        Basis and statistics with which maps are standardised; those of the map file by default.

    Raises
    ------
    UserError
        For the reasons of ``TrainingSplit``, or if codes are missing or have no well-defined
        neighbours.
    """

    def __init__(
        self,
        maps: MapFile,
        config: FromCodeConfig,
        split: str | None = "train",
        standardise: Standardiser | None = None,
    ) -> None:
        super().__init__(maps, split, standardise=standardise)
        self.codes: Tensor | None = None
        self.followers: list[Tensor] = []  # rows of the split, each (N,)
        if config.features == NONE:
            return
        codes = find_codes(config, maps)[self.rows]
        self.codes = torch.from_numpy(codes)
        if config.followers:
            neighbours = load_or_mine(codes, config)
            self.followers = [torch.from_numpy(neighbours[side]) for side in config.followers]

    def batch(self, places: Tensor) -> Batch:
        """Return the batch of rows (B,) of the split, followed by their neighbours of each kind."""
        everyone = torch.cat([places, *(follower[places] for follower in self.followers)])
        batch = self.read_samples(everyone)
        return batch if self.codes is None else batch._replace(codes=self.codes[everyone])


def load_or_mine(codes: NDArray[np.float32], config: FromCodeConfig) -> dict[str, NDArray[np.int64]]:
    """Return the rows (N,) of the ``nearest`` and the ``farthest`` of each code (N, D).

    They are mined once for a feature file.
    """
    features = Path(config.features)
    key = sha256(config.metric.encode() + str(codes.shape).encode() + np.ascontiguousarray(codes).tobytes()).hexdigest()
    stored = features.with_name(f"{features.stem}-neighbours-{key[:16]}.npz")
    try:
        _check_stored(stored, len(codes))
        with np.load(stored, allow_pickle=False) as file:
            neighbours = {side: np.asarray(file[side], np.int64) for side in ("nearest", "farthest")}
        if all(
            rows.shape == (len(codes),) and 0 <= rows.min() <= rows.max() < len(codes) for rows in neighbours.values()
        ):
            return neighbours
    except (OSError, ValueError, EOFError, BadZipFile, RuntimeError):
        # The file is missing or damaged, so neighbours are mined again. These are all errors that
        # flipped bits of such a file have raised. zipfile raises RuntimeError for an encrypted
        # archive, and its subclass NotImplementedError for an archive of a later version.
        pass
    say(f"mining the neighbours of {len(codes)} codes of {codes.shape[1]} dimensions{describe_duration(codes)}")
    mined = mine_neighbours(codes, config)
    neighbours = {"nearest": mined.nearest[:, 0].copy(), "farthest": mined.farthest[:, 0].copy()}
    try:
        with atomic_path(stored) as temporary, temporary.open("wb") as stream:
            np.savez(stream, nearest=neighbours["nearest"], farthest=neighbours["farthest"])
    except (OSError, UserError) as error:
        say(f"the neighbours could not be stored ({error})")
    return neighbours


def describe_duration(codes: NDArray[np.float32]) -> str:
    """Describe the time that exact mining takes, if it is two minutes or more."""
    differences = len(codes) ** 2 * codes.shape[1]
    minutes = differences / (DIFFERENCES_A_SECOND * torch.get_num_threads()) / 60
    if minutes < 2 or differences > MOST_DIFFERENCES:
        return ""
    return f", about {minutes:.0f} min (`export --components` makes fewer of them)"


def _check_stored(path: Path, count: int) -> None:
    """Raise a ValueError unless a file has the form that ``load_or_mine`` writes."""
    with ZipFile(path) as archive:
        sizes = {part.filename: (part.compress_type, part.file_size) for part in archive.infolist()}
        for side in ("nearest", "farthest"):
            if sizes.get(f"{side}.npy") != (ZIP_STORED, 128 + 8 * count):
                raise ValueError(f"wrong size of {side}.npy in {path}")
            with archive.open(f"{side}.npy") as part:
                np.lib.format.read_magic(part)
                shape, _, dtype = np.lib.format.read_array_header_1_0(part)
            if shape != (count,) or dtype != np.int64:
                raise ValueError(f"wrong array {side} in {path}")


def mine_neighbours(codes: NDArray[np.float32], config: FromCodeConfig) -> Neighbours:
    """Find the neighbours of codes (N, D), exactly unless the set is very large."""
    threads = torch.get_num_threads()
    if len(codes) ** 2 * codes.shape[1] <= MOST_DIFFERENCES:
        return find_exact_neighbours(codes, 1, config.metric, threads=threads)
    result = find_approximate_neighbours(codes, 1, config.metric, threads=threads)
    say(
        f"approximate neighbours: recall {result.nearest_recall:.3f} (nearest), {result.farthest_recall:.3f} (farthest)"
    )
    return result.neighbours
