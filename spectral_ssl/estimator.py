"""Self-supervised features as a transformer of scikit-learn, for use in pipelines.

A sample is one row of X, of one of three kinds::

    cloud     (N, P, 3)      points of a shape in any units, +z up; or rows (N, 3 P) with shape=(P, 3)
    map       (N, C, H, W)   an image, or a map of a run's basis; or rows (N, C H W) with shape=(C, H, W)
    numbers   (N, n)         without shape; they fill the smallest square of at least 8 x 8 line by line, the rest is 0

Without a run or an encoder, ``fit`` computes Zernike moments of clouds or scales images to [-1, 1],
and trains on them as ``pretrain`` does, in memory and a temporary folder. With one, ``fit`` only
checks that X fits it. Labels are not used.
"""

from contextlib import ExitStack
from hashlib import sha256
from math import ceil, prod, sqrt
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from data_prep.basis import Basis, pixel_basis, zernike_basis
from data_prep.maps.reader import MapFile, open_maps
from data_prep.maps.writer import MapWriter
from data_prep.pipeline.object_to_map import make_object_generator
from data_prep.pipeline.shape_to_map import shape_to_map
from data_prep.source import Shape
from pretext.networks.feature_layers import DEFAULT
from pretext.runs.folder import make_run_folder
from pretext.runs.load_encoder import load_encoder
from pretext.runs.trained_run import TrainedRun, load_run
from pretext.training.trainer import Trainer
from spectral_ssl.ground.config import Settings, as_texts
from spectral_ssl.ground.errors import ObjectError, UserError
from spectral_ssl.ground.progress import quiet
from spectral_ssl.ground.provenance import created_by
from spectral_ssl.ground.workspace import Workspace
from spectral_ssl.planning.new_run.universe import open_training_data
from spectral_ssl.planning.pretrain_options import PretrainOptions
from spectral_ssl.planning.run_plan import plan_run
from spectral_ssl.planning.run_start import build_network

MOST_POINTS = 2048  # sampled from each cloud
SMALLEST_SIDE = 8  # of the square for rows of numbers: a smaller image cannot be halved often enough
OTHER_INPUT = "give an array; files, meshes and clouds of several sizes are for spectral_ssl.load(NAME).encode(LIST)"
BLOCK = 64  # rows encoded at a time; a constant, so that features of a row do not depend on other rows


class SpectralFeatures(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Features of clouds, images, maps or rows of numbers.

    Parameters
    ----------
    run : path, name or TrainedRun, optional
        A finished run whose encoder is used; by default ``fit`` trains one.
    encoder : str, path or TrainedRun, optional
        An encoder that was trained before, in place of a run: the name of one that ships with the
        package, a folder, or ``hf:OWNER/NAME``, see ``spectral_ssl.load``.
    shape : tuple of int, optional
        The shape of a sample, (P, 3) or (C, H, W), for a two-dimensional X; taken from X if it has
        more dimensions.
    layer : str
        The layer of the network, see ``list layers``.
    method, task : str, optional
        The method and the task to train. As in ``pretrain`` the default is the joint embedding on
        clouds and images; it is cGML denoising on rows of numbers, which have no views.
    epochs : int, optional
        The number of passes over the data.
    settings : sequence of str, or dict
        Settings by key, or texts "key=value", as for ``pretrain``.
    degree : int
        The degree of the Zernike moments of clouds.
    random_state : int, RandomState or None
        The seed of the training.
    verbose : bool
        Whether ``fit`` shows its progress on stderr.

    Attributes
    ----------
    run_ : TrainedRun
        The run that encodes.
    shape_ : tuple of int
        The shape of a sample: (P, 3), (C, H, W), or (n,) for numbers.
    basis_ : Basis
        The basis of the encoded maps.
    low_, high_ : float
        The limits of the training images, which become -1 and 1. Values beyond are clipped. With a
        run: -1 and 1.
    n_features_in_ : int
        The number of values of a sample.

    Examples
    --------
    >>> from spectral_ssl import SpectralFeatures
    >>> SpectralFeatures(run).fit_transform(maps.read()).shape
    (64, 128)
    >>> import numpy as np
    >>> clouds = np.random.default_rng(0).normal(size=(3, 500, 3))
    >>> len(SpectralFeatures(encoder="universe-upright").fit_transform(clouds))
    3
    """

    def __init__(
        self,
        run: str | Path | TrainedRun | None = None,
        *,
        encoder: str | Path | TrainedRun | None = None,
        shape: tuple[int, ...] | None = None,
        layer: str = DEFAULT,
        method: str | None = None,
        task: str | None = None,
        epochs: int | None = None,
        settings: Settings = (),
        degree: int = 20,
        random_state: Any = 0,
        verbose: bool = False,
    ) -> None:
        self.run = run
        self.encoder = encoder
        self.shape = shape
        self.layer = layer
        self.method = method
        self.task = task
        self.epochs = epochs
        self.settings = settings
        self.degree = degree
        self.random_state = random_state
        self.verbose = verbose

    def fit(self, X: ArrayLike, y: object = None) -> Self:  # noqa: N803
        """Train on samples, or load the run.

        Parameters
        ----------
        X : array-like, shape (N, P, 3), (N, C, H, W) or (N, n)
            The samples.
        y : object
            Not used.

        Returns
        -------
        SpectralFeatures
            This object.

        Raises
        ------
        ValueError
            When X does not have the given shape, is not finite, or a cloud has no extent.
        UserError
            When settings are invalid, or the run or the encoder is missing or does not fit X.
        """
        run = self._load_run()
        self.shape_ = self._shape_of(X, run)
        rows = self._rows(X, reset=True)
        self.low_, self.high_ = -1.0, 1.0
        if run is not None:
            self.run_ = run.at_layer(self.layer) if self.layer != DEFAULT else run
            self.basis_ = run.basis
            self._check_fits()
        else:
            self.basis_ = self._choose_basis()
            if self.basis_.kind == "pixels":
                self.low_, self.high_ = float(rows.min()), float(rows.max())
            seed = int(check_random_state(self.random_state).randint(2**31 - 1))
            with TemporaryDirectory(prefix="spectral-ssl-") as folder:
                self.run_ = self._train(rows, seed, Path(folder))
        sizes = self.run_.layers()
        self._n_features_out = sum(sizes[name] for name in self.run_.layer.split("+"))
        return self

    def transform(self, X: ArrayLike) -> NDArray[np.float32]:  # noqa: N803
        """Compute the features of samples.

        Parameters
        ----------
        X : array-like
            The samples, of the same shape as in ``fit``.

        Returns
        -------
        ndarray, shape (N, D), float32
            The features.

        Raises
        ------
        ValueError
            When X does not have the shape of ``fit``, or is not finite.
        """
        check_is_fitted(self)
        maps, _ = self._maps(self._rows(X, reset=False))
        features = []
        for start in range(0, len(maps), BLOCK):
            block = np.zeros((BLOCK, *self.basis_.shape), np.float32)
            part = maps[start : start + BLOCK]
            block[: len(part)] = part
            features.append(self.run_.encode(block)[: len(part)])
        return np.concatenate(features)

    def __sklearn_tags__(self) -> Any:
        """Tell scikit-learn that X may have three dimensions."""
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags

    def _load_run(self) -> TrainedRun | None:
        """Load the run or the encoder that the parameters name; None if ``fit`` trains."""
        if self.run is not None and self.encoder is not None:
            raise UserError("a run and an encoder", f"run={self.run!r:.60}, encoder=...", "give one of them")
        if self.encoder is not None:
            return self.encoder if isinstance(self.encoder, TrainedRun) else load_encoder(self.encoder)
        if self.run is None or isinstance(self.run, TrainedRun):
            return self.run
        return load_run(Workspace.find().find_run(self.run))

    def _shape_of(self, X: Any, run: TrainedRun | None) -> tuple[int, ...]:  # noqa: N803
        """Return the shape of a sample."""
        data_shape = _shape(X)[1:]
        shape = tuple(self.shape) if self.shape is not None else data_shape
        if len(data_shape) > 1 and self.shape is not None and data_shape != shape:
            raise ValueError(f"samples of shape {data_shape}, not {shape} as given")
        if len(shape) not in (1, 2, 3) or (len(shape) == 2 and shape[1] != 3):
            raise ValueError(f"samples of shape {shape}: give (N, P, 3), (N, C, H, W) or rows of numbers")
        if len(shape) == 1 and run is not None and shape[0] == prod(run.basis.shape):
            return run.basis.shape  # flattened maps
        return shape

    def _rows(self, X: ArrayLike, reset: bool) -> NDArray[np.float64]:  # noqa: N803
        """Return X as (N, n) float64, checked."""
        shape = _shape(X)
        if len(shape) > 2:
            if not reset and shape[1:] != self.shape_:
                raise ValueError(f"samples of shape {shape[1:]}, not {self.shape_} as in fit")
            X = np.asarray(X).reshape(shape[0], -1)
        rows: NDArray[np.float64] = validate_data(self, X, reset=reset, dtype=np.float64)
        if rows.shape[1] != prod(self.shape_):
            raise ValueError(f"rows of {rows.shape[1]} numbers, not of {prod(self.shape_)} for shape {self.shape_}")
        return rows

    def _choose_basis(self) -> Basis:
        """Return the basis of the maps that ``fit`` makes."""
        if len(self.shape_) == 2:
            return zernike_basis(self.degree, points=min(self.shape_[0], MOST_POINTS))
        if len(self.shape_) == 3:
            return pixel_basis(*self.shape_)
        side = max(SMALLEST_SIDE, ceil(sqrt(self.shape_[0])))
        return pixel_basis(1, side, side)

    def _check_fits(self) -> None:
        """Raise a UserError unless the run encodes such samples."""
        basis = self.basis_
        fits = basis.kind != "pixels" if len(self.shape_) == 2 else self.shape_ == basis.shape
        if not fits or (basis.kind == "radial" and len(self.shape_) == 2):
            got = f"samples of shape {self.shape_} and a run on {basis.kind!r} maps of shape {basis.shape}"
            raise UserError("samples that the run cannot encode", got, "give maps of that shape, or another run")

    def _maps(self, rows: NDArray[np.float64]) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        """Compute the maps (N, C, H, W) of rows; return for clouds also the sampled clouds."""
        if len(self.shape_) != 2:
            width = prod(self.basis_.shape) - rows.shape[1]
            middle, half = (self.low_ + self.high_) / 2, (self.high_ - self.low_) / 2 or 1.0
            is_trained = self.run is not None or self.encoder is not None
            scaled = rows if is_trained else np.clip((rows - middle) / half, -1, 1)
            filled = np.pad(scaled, ((0, 0), (0, width)))
            return filled.reshape(-1, *self.basis_.shape).astype(np.float32), None
        maps, clouds = [], []
        for number, row in enumerate(rows):
            # the seed comes from the cloud itself, not from its position in X
            generator = make_object_generator(self.basis_.seed, sha256(row.tobytes()).hexdigest())
            try:
                values, cloud = shape_to_map(Shape(row.reshape(-1, 3)), self.basis_, "+z", generator)
            except ObjectError as error:
                raise ValueError(f"sample {number}: {error}") from error
            maps.append(values)
            clouds.append(cloud)
        return np.stack(maps), None if clouds[0] is None else np.stack([cloud for cloud in clouds if cloud is not None])

    def _train(self, rows: NDArray[np.float64], seed: int, folder: Path) -> TrainedRun:
        """Train a run on all rows; all files are in the folder."""
        options = PretrainOptions(
            self._map_file(rows, folder / "fit.h5"),
            method=self._choose_method(),
            task=self.task,
            epochs=self.epochs,
            seed=seed,
            settings=("train.checkpoint_every=1000000", *as_texts(self.settings)),  # only the last checkpoint is needed
            init_from="none",  # the features follow from X alone
        )
        if self.verbose:
            return self._run(options, Workspace(folder))
        with quiet():
            return self._run(options, Workspace(folder))

    def _choose_method(self) -> str | None:
        """Return the method; rows of numbers lie in a square, but a part of it or its mirror image means nothing."""
        has_rows_of_numbers = len(self.shape_) == 1
        return "cgml" if self.method is None and self.task is None and has_rows_of_numbers else self.method

    def _run(self, options: PretrainOptions, workspace: Workspace) -> TrainedRun:
        """Train a run in the workspace, and load it."""
        plan, maps = plan_run(options, workspace)
        training = open_training_data(plan, maps)
        folder = workspace.root / "run"
        with ExitStack() as locks:
            make_run_folder(folder, plan, locks)
            Trainer(
                build_network(plan, training),
                plan.corrupt,
                plan.view,
                training,
                plan.train,
                folder,
                plan.to_toml(),
                mixes=plan.task_entry.mixes,
            ).run()
        run = load_run(folder)
        return run.at_layer(self.layer) if self.layer != DEFAULT else run

    def _map_file(self, rows: NDArray[np.float64], path: Path) -> MapFile:
        """Write a map file of all rows."""
        maps, clouds = self._maps(rows)
        count = len(maps)
        with MapWriter(
            path,
            self.basis_,
            source="SpectralFeatures",
            source_digest=sha256(rows.tobytes()).hexdigest(),
            classes=(),
            count=count,
            created_by=created_by(),
            keep_points=0 if clouds is None else clouds.shape[1],
        ) as writer:
            half = None if clouds is None else clouds.astype(np.float16)
            writer.append(maps, [f"sample-{row}" for row in range(count)], [-1] * count, ["train"] * count, half)
        return open_maps(path)


def _shape(X: Any) -> tuple[int, ...]:  # noqa: N803
    """Return the shape of an array, a table, a sparse matrix or nested lists."""
    if hasattr(X, "shape"):
        return tuple(X.shape)
    try:
        array = np.asarray(X)
    except ValueError as error:
        raise ValueError(f"samples of several shapes: {OTHER_INPUT}") from error
    if array.dtype.kind in "OU":
        raise ValueError(f"samples that are no numbers: {OTHER_INPUT}")
    return array.shape
