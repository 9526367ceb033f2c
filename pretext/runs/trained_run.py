"""A trained run, loaded for use: its features, its layers and its completions."""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from data_prep.basis import Basis
from data_prep.maps.reader import MapFile
from pretext.data.batch import Example
from pretext.data.standardise import Standardiser
from pretext.data.training_split import check_same_basis, read_batch
from pretext.method import Method
from pretext.networks.feature_layers import DEFAULT, select_layer
from pretext.pretrained.folder import save_encoder, send_encoder
from pretext.randomness import seeded_generator
from pretext.runs.inputs import check_up_of_maps, generate_maps, require_finite
from pretext.runs.plan import Plan, fit_discriminator
from pretext.runs.whitening import Whitening, fit_whitening, sample_universe_maps
from pretext.runs.whitening_file import read_whitening
from pretext.training.checkpoint import Progress, load_last_good
from pretext.training.distributed import ALONE, Distributed
from spectral_ssl.ground.config import Settings
from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.files import hash_file
from spectral_ssl.ground.terminal import write_facts, write_facts_as_html

ROWS_AT_ONCE = 256
LONGEST_NAME = 100  # of an encoder, see ``pretext.pretrained.facts.NAME``


@dataclass(frozen=True)
class TrainedRun:
    """A run loaded for use.

    Attributes
    ----------
    folder : Path
        The run folder.
    plan : Plan
        What the run was trained on, and how.
    method : Method
        The method with the trained parameters and the states of its optimisers.
    standardise : Standardiser
        Basis and statistics of the training data; they apply to everything that the run encodes.
    checkpoint : dict
        The checkpoint's content, for resuming.
    checkpoint_digest : str
        SHA-256 of the checkpoint's file, or of it and of the file of its whitening.
    checkpoint_path : Path
        The checkpoint's file.
    layer : str
        The layer of the network that gives the features, see ``pretext.networks.feature_layers``.
    name : str
        The name of an encoder that was loaded by ``load``; empty for a run. An encoder has no
        optimiser states, and its folder must not be changed.
    whitening : Whitening, optional
        A linear map of the features of the default layer, see ``whiten``.

    Examples
    --------
    >>> run.plan.method, run.basis.shape
    ('regression', (1, 16, 16))
    >>> run.encode(maps.read()).shape
    (64, 128)
    """

    folder: Path
    plan: Plan
    method: Method
    standardise: Standardiser
    checkpoint: dict[str, Any]
    checkpoint_digest: str
    checkpoint_path: Path
    layer: str = DEFAULT
    name: str = ""
    whitening: Whitening | None = None

    def __repr__(self) -> str:
        return write_facts("Run", self._list_facts())

    def _repr_html_(self) -> str:
        return write_facts_as_html("Run", self._list_facts())

    def _list_facts(self) -> dict[str, object]:
        plan, place = self.plan, self.checkpoint.get("place", {})
        first: dict[str, object] = {"name": self.name} if self.name else {"folder": self.folder}
        data = {"data": Path(plan.data).name} if plan.data else {}
        done = {f"{key}s": place[key] for key in ("epoch", "step") if key in place}
        return {**first, "method": plan.method, "task": plan.task, **data, **done, "layer": self.layer}

    @property
    def basis(self) -> Basis:
        """Basis of the maps that the run was trained on."""
        return self.standardise.basis

    def encode(self, objects: Any, *, up: str | None = None, seed: int | None = None) -> NDArray[np.float32]:
        """Compute features of objects in memory, in files, or in a map file.

        Parameters
        ----------
        objects : MapFile, array, path, Shape, mesh of trimesh, or a list
            One of:

            * a map file, or maps (N, C, H, W) as stored in one, not standardised;
            * a run on shapes: a cloud (P, 3) in any units, clouds (N, P, 3), the path of a file
              of any format that ``folder:PATH`` reads, a ``data_prep.Shape``, a mesh or a cloud of
              trimesh, or a list of these;
            * a run on images: the path of an image, images (N, C, H, W) or (C, H, W) of any size as
              uint8, or a list of these.
        up : str, optional
            The axis that points up in shapes, "+z" by default; "by-format" for the axis that the
            format of each file specifies. Maps have +z up.
        seed : int, optional
            The seed of the sampling of points, that of the run's basis by default. The points
            follow from the seed and from the object: for files from their names, as in ``prep``.
            So the map of an object does not depend on the other objects.

        Returns
        -------
        ndarray, shape (N, D), float32
            Features. The last digits may depend on the number of objects.

        Raises
        ------
        UserError
            If an object cannot be used, or its features are not finite; the message names it. If
            maps have another shape than the run's, or the file another basis.

        Examples
        --------
        >>> import numpy as np
        >>> from data_prep import Shape
        >>> from spectral_ssl import load
        >>> encoder = load("universe-upright")
        >>> cloud = np.random.default_rng(0).normal(size=(500, 3))
        >>> corners = np.array([[0.0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]])
        >>> square = Shape(corners, faces=np.array([[0, 1, 2], [0, 2, 3]]))
        >>> encoder.encode([cloud, square], up="+y").shape == (2, encoder.layers()["default"])
        True
        """
        if isinstance(objects, MapFile):
            check_up_of_maps(up, self.basis)
            return require_finite(self.encode_file(objects))
        return require_finite(self._encode_maps(generate_maps(objects, self.basis, up=up, seed=seed)))

    def _encode_maps(self, blocks: Iterable[NDArray[np.float32]]) -> NDArray[np.float32]:
        """Compute features of blocks of maps."""
        with torch.no_grad():
            return np.concatenate([self.features_of(block).numpy() for block in blocks])

    def features_of(self, maps: NDArray[np.float32]) -> torch.Tensor:
        """Compute features (B, D) of maps (B, C, H, W), not standardised.

        If the task has several views of each map at inference, these are their mean and standard
        deviation, 2 D; of whitened features their mean and largest values. Neither depends on the
        order of the views.
        """
        of_views = self._features_of_views(maps)
        if self.whitening is not None and self.layer == DEFAULT:
            of_views = self.whitening(of_views)
        if len(of_views) == 1:
            return of_views[0]
        is_plain = self.whitening is None or self.layer != DEFAULT
        spread = of_views.std(dim=0, correction=0) if is_plain else of_views.amax(dim=0)
        return torch.cat([of_views.mean(dim=0), spread], dim=1)

    def _features_of_views(self, maps: NDArray[np.float32]) -> torch.Tensor:
        """Compute features (V, B, D) of each view of maps (B, C, H, W), without whitening."""
        return torch.stack([self.features(each) for each in self.plan.inference_views(maps, self.standardise)])

    def features(self, condition: torch.Tensor) -> torch.Tensor:
        """Compute features (B, D) of conditions (B, C, H, W) as the task's view gives them; they require a gradient."""
        if self.layer == DEFAULT:
            return self.method.features(condition)
        by_layer = self.method.layers(condition)
        if DEFAULT in self.layer.split("+"):
            by_layer = {DEFAULT: self.method.features(condition), **by_layer}
        return select_layer(by_layer, self.layer)

    def layers(self) -> dict[str, int]:
        """List the layers by name, the default first, with their numbers of features."""
        empty = np.zeros((1, *self.basis.shape), np.float32)
        first, *others = self.plan.inference_views(empty, self.standardise)
        with torch.no_grad():
            by_layer = {DEFAULT: self.method.features(first), **self.method.layers(first)}
        sizes = {name: features.shape[1] for name, features in by_layer.items()}
        if self.whitening is not None:
            sizes[DEFAULT] = self.whitening.matrix.shape[1]
        return {name: (2 if others else 1) * size for name, size in sizes.items()}

    def whiten(self, maps: NDArray[np.float32], components: int) -> "TrainedRun":
        """Return the same run with whitened features (``pretext.runs.whitening``).

        Parameters
        ----------
        maps : ndarray, shape (N, C, H, W), float32
            Maps of many objects, not standardised. The whitening is fitted to the features of their
            views.
        components : int
            Largest number of whitened components, the dimensions of the new features.
        """
        plain = replace(self, whitening=None, layer=DEFAULT)
        blocks = [maps[start : start + ROWS_AT_ONCE] for start in range(0, len(maps), ROWS_AT_ONCE)]
        with torch.no_grad():
            features = torch.cat([plain._features_of_views(block).flatten(0, 1) for block in blocks])
        return replace(plain, whitening=fit_whitening(features.numpy(), components))

    def at_layer(self, layer: str) -> "TrainedRun":
        """Return the same run with the features of another layer, or of several joined by ``+``."""
        if not isinstance(layer, str):
            raise UserError("layer of the wrong type", f"{layer!r:.60} ({type(layer).__name__})", "give its name")
        layer = "+".join(name.strip() for name in layer.split("+"))
        select_layer({name: torch.zeros(1, size) for name, size in self.layers().items()}, layer)
        return replace(self, layer=layer)

    def encode_file(
        self, maps: MapFile, rows: NDArray[np.int64] | None = None, processes: Distributed = ALONE
    ) -> NDArray[np.float32]:
        """Compute features (N, D) float32 of some rows of a file, of all by default.

        They are computed in blocks, so that memory does not grow with the maps. The blocks, and so
        the features, are the same bit for bit for any number of processes. Only the main process
        gets them; the others get (0, 0).

        Raises
        ------
        UserError
            If the file's basis is not the run's.
        """
        return np.concatenate([*self.encode_blocks(maps, rows, processes)] or [np.empty((0, 0), np.float32)])

    def encode_blocks(
        self, maps: MapFile, rows: NDArray[np.int64] | None = None, processes: Distributed = ALONE
    ) -> Iterator[NDArray[np.float32]]:
        """Generate the features of ``encode_file`` block by block, (B, D) each, in the main process."""
        check_same_basis(self.basis, maps)
        wanted = maps.rows() if rows is None else rows
        blocks = np.array_split(wanted, max(1, len(wanted) // ROWS_AT_ONCE))
        yield from processes.run_in_turn([partial(self._encode_rows, maps, block) for block in blocks])

    def _encode_rows(self, maps: MapFile, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Compute features of one block of rows."""
        return self._encode_maps(generate_maps(maps.read(rows), self.basis, finite=False))

    def untrained(self, seed: int) -> "TrainedRun":
        """Return the same network with new random parameters.

        If the features are whitened, those of the untrained network are whitened too, fitted to new
        shapes of the universe.
        """
        method = self.plan.build(self.standardise, seed)
        run = replace(
            self,
            method=method,
            name=f"untrained-{self.name}"[:LONGEST_NAME] if self.name else "",
            checkpoint={**self.checkpoint, "place": asdict(Progress())},
            checkpoint_digest=f"untrained, seed {seed}",
            whitening=None,
        )
        components = 0 if self.whitening is None else self.whitening.matrix.shape[1]
        return run.whiten(sample_universe_maps(self.basis, seed), components) if components else run

    def with_task_settings(self, settings: Settings) -> "TrainedRun":
        """Return the same network with other settings of its task: a dict, or texts ``key=value``."""
        return replace(self, plan=self.plan.with_task_settings(settings)) if settings else self

    def example(self, maps: MapFile, rows: NDArray[np.int64], generator: torch.Generator) -> Example:
        """Apply the run's task to some rows of a map file of the run's basis, with clouds if the task needs them."""
        check_same_basis(self.basis, maps)
        task = self.plan.task_entry
        batch = read_batch(maps, self.standardise, rows, task.needs_points)
        codes = task.codes(self.plan.task_config, maps, rows) if task.codes is not None else None
        if codes is not None:
            batch = batch._replace(codes=torch.from_numpy(codes))
        return self.plan.corrupt(batch, generator)

    def save(
        self,
        folder: Path | str,
        *,
        name: str | None = None,
        recipe: str = "",
        licence: str = "",
        overwrite: bool = False,
    ) -> Path:
        """Write the encoder as a folder that ``load`` reads: weights (safetensors, float16), description, card.

        Parameters
        ----------
        folder : path
            The folder to write.
        name : str, optional
            The encoder's name; by default its present one, or that of the folder.
        recipe : str
            The command that trains such a run, for the card.
        licence : str
            The licence of the weights, for the card.
        overwrite : bool
            Whether the files of an encoder in an existing folder may be replaced; others are kept.

        Examples
        --------
        >>> from spectral_ssl import load
        >>> encoder = load(run.save(folder / "my-encoder"))
        >>> encoder.name, encoder.encode(maps).shape
        ('my-encoder', (64, 128))
        """
        return save_encoder(self, folder, name=name, recipe=recipe, licence=licence, overwrite=overwrite)

    def push_to_hub(self, repository: str, *, licence: str = "", is_private: bool = False) -> str:
        """Send the encoder to the Hugging Face hub; needs the extra ``hub`` and the network.

        Parameters
        ----------
        repository : str
            ``OWNER/NAME``; it is made if it is missing.
        licence : str
            The licence of the weights, for the card.
        is_private : bool
            Whether a new repository can be seen by its owner only.

        Returns
        -------
        str
            ``hf:OWNER/NAME``, which ``load`` takes.
        """
        return send_encoder(self, repository, licence=licence, is_private=is_private)

    def require_completions(self) -> None:
        """Raise a UserError unless the method has completions."""
        if not self.method.has_completions:
            what_to_do = "export or probe its features, or give --run of a method with completions, e.g. cgml"
            raise UserError(
                f"the method {self.plan.method} has features and no completions", str(self.folder), what_to_do
            )

    def complete(
        self, maps: MapFile, rows: NDArray[np.int64], modes: int, seed: int = 0, first: int = 0
    ) -> tuple[Example, torch.Tensor]:
        """Corrupt rows (N) of a map file with the run's task, and complete each several times.

        Parameters
        ----------
        maps : MapFile
            The map file.
        rows : ndarray, shape (N,), int64
            Rows of the file.
        modes : int
            Number of completions of each.
        seed : int
            Seed of the corruption and of the completions.
        first : int
            Position of the first row in a longer list, so that each block of it has a seed of its
            own.

        Returns
        -------
        example : Example
            The conditions with their targets.
        completions : Tensor, shape (N, modes, C', H, W)
            Standardised.
        """
        self.require_completions()
        generator = seeded_generator(seed, "complete", first)
        example = self.example(maps, rows, generator)
        return example, self.method.complete(example.condition, modes, generator)


def load_run(folder: Path | str) -> TrainedRun:
    """Load a run from its last checkpoint, or with a warning from the previous one if the last is damaged.

    Raises
    ------
    UserError
        If the folder is no run, or its checkpoints are missing, damaged or of another version.

    Examples
    --------
    >>> from spectral_ssl import load_run
    >>> loaded = load_run(run.folder)
    >>> bool((loaded.encode(maps) == run.encode(maps)).all())
    True
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError("no such run", str(folder), "see `spectral-ssl list runs` or give another --run")
    content, path = load_last_good(folder / "checkpoints")
    try:
        plan = Plan.from_toml(content["config"])
        basis = Basis.from_json(content["basis"])
        # Checked before memory is reserved for a basis that does not fit these statistics.
        if content["mean"].shape != basis.shape or content["std"].shape != basis.shape:
            raise ValueError(f"statistics of shape {tuple(content['mean'].shape)} for {basis.shape}")
        standardiser = Standardiser.from_statistics(basis, content["mean"], content["std"])
        content = fit_discriminator(plan, standardiser, content)
        method = plan.build(standardiser)
        method.load_state_dict(content["model"])
        for name, optimizer in method.optimizers.items():
            optimizer.load_state_dict(content["optimizers"][name])
        Progress(**content["place"])
    except (KeyError, IndexError, RuntimeError, TypeError, ValueError, AttributeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0][:100]
        raise UserError(
            "checkpoint does not fit its config", f"{path} ({reason})", "train again with this version"
        ) from error
    whitening, digest = read_whitening(folder, hash_file(path))
    return TrainedRun(folder, plan, method, standardiser, content, digest, path, whitening=whitening)
