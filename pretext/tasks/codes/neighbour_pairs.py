"""Training maps for the task from-code: with their codes, each followed by its neighbours in the space of codes.

The neighbours are mined once, over the training split; they follow from the feature file and the config alone, so that
a resumed run has the same. (They need no refreshing: the extractor is frozen.) They are kept beside the feature file,
for other runs on the same features.
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
from pretext.data.training_split import TrainingMaps
from pretext.neighbours.approximate import approximate_neighbours
from pretext.neighbours.exact import Neighbours, exact_neighbours
from pretext.tasks.codes.feature_codes import find_codes
from pretext.tasks.codes.from_code import NONE, FromCodeConfig
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.files import atomic_path
from spectral_ssl.ground.progress import say

# Up to so many differences all pairs are compared (about 20 minutes of one thread); above, neighbours are approximate.
MOST_DIFFERENCES = 10**13
DIFFERENCES_A_SECOND = 9e9  # of one thread, benchmarks/results/mining.json


class CodedMaps(TrainingMaps):
    """The maps of one split with their codes.

    Parameters
    ----------
    maps : MapFile
        Where they come from.
    config : FromCodeConfig
        Settled (``pretext.tasks.codes.feature_codes.settle_codes``).
    split : str or None
        Which of them, None for all.

    Raises
    ------
    UserError
        As ``TrainingMaps``; and when codes cannot be had or nothing can be mined in them.
    """

    def __init__(self, maps: MapFile, config: FromCodeConfig, split: str | None = "train") -> None:
        super().__init__(maps, split)
        self.codes: Tensor | None = None
        self.followers: list[Tensor] = []  # of places in the split, each (N,)
        if config.features == NONE:
            return
        codes = find_codes(config, maps)[self.rows]
        self.codes = torch.from_numpy(codes)
        if config.followers:
            places = known_or_mined(codes, config)
            self.followers = [torch.from_numpy(places[side]) for side in config.followers]

    def batch(self, places: Tensor) -> Batch:
        """The batch at places (B,) of the split; then as many samples again for each of the followers."""
        everyone = torch.cat([places, *(follower[places] for follower in self.followers)])
        batch = self.alone(everyone)
        return batch if self.codes is None else batch._replace(codes=self.codes[everyone])


def known_or_mined(codes: NDArray[np.float32], config: FromCodeConfig) -> dict[str, NDArray[np.int64]]:
    """Places (N,) of the ``nearest`` and the ``farthest`` of each code (N, D), mined once for a feature file."""
    features = Path(config.features)
    key = sha256(config.metric.encode() + str(codes.shape).encode() + np.ascontiguousarray(codes).tobytes()).hexdigest()
    kept = features.with_name(f"{features.stem}-neighbours-{key[:16]}.npz")
    try:
        _check_kept(kept, len(codes))
        with np.load(kept, allow_pickle=False) as file:
            places = {side: np.asarray(file[side], np.int64) for side in ("nearest", "farthest")}
        if all(each.shape == (len(codes),) and 0 <= each.min() <= each.max() < len(codes) for each in places.values()):
            return places
    except (OSError, ValueError, EOFError, BadZipFile, RuntimeError):
        # Not there, or damaged: it is made again. These are all that flipped bits of such a file were seen to raise;
        # the last one is zipfile's word for "encrypted" and, as NotImplementedError, for "of a later version".
        pass
    say(f"mining the neighbours of {len(codes)} codes of {codes.shape[1]} dimensions{how_long(codes)}")
    found = mine(codes, config)
    places = {"nearest": found.nearest[:, 0].copy(), "farthest": found.farthest[:, 0].copy()}
    try:
        with atomic_path(kept) as temporary, temporary.open("wb") as stream:
            np.savez(stream, nearest=places["nearest"], farthest=places["farthest"])
    except (OSError, UserError) as error:
        say(f"the neighbours could not be kept ({error})")
    return places


def how_long(codes: NDArray[np.float32]) -> str:
    """What to say of the time that exact mining takes, where it is much."""
    differences = len(codes) ** 2 * codes.shape[1]
    minutes = differences / (DIFFERENCES_A_SECOND * torch.get_num_threads()) / 60
    if minutes < 2 or differences > MOST_DIFFERENCES:
        return ""
    return f", about {minutes:.0f} min (`export --components` makes fewer of them)"


def _check_kept(kept: Path, count: int) -> None:
    """Raise a ValueError when a file of neighbours is not what ``known_or_mined`` writes for so many codes."""
    with ZipFile(kept) as archive:
        sizes = {part.filename: (part.compress_type, part.file_size) for part in archive.infolist()}
        for side in ("nearest", "farthest"):
            if sizes.get(f"{side}.npy") != (ZIP_STORED, 128 + 8 * count):
                raise ValueError(f"another size of {side}.npy in {kept}")
            with archive.open(f"{side}.npy") as part:
                np.lib.format.read_magic(part)
                shape, _, dtype = np.lib.format.read_array_header_1_0(part)
            if shape != (count,) or dtype != np.int64:
                raise ValueError(f"another array {side} in {kept}")


def mine(codes: NDArray[np.float32], config: FromCodeConfig) -> Neighbours:
    """The neighbours of codes (N, D) over the whole set, exact unless it is very large."""
    threads = torch.get_num_threads()
    if len(codes) ** 2 * codes.shape[1] <= MOST_DIFFERENCES:
        return exact_neighbours(codes, 1, config.metric, threads=threads)
    found = approximate_neighbours(codes, 1, config.metric, threads=threads)
    say(f"approximate neighbours: recall {found.nearest_recall:.3f} (nearest), {found.farthest_recall:.3f} (farthest)")
    return found.neighbours
