"""List the features to compare: those of the run, training-free baselines, and references."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from hashlib import sha256
from typing import Any

import numpy as np
from numpy.typing import NDArray

from data_prep.layout import unfold
from data_prep.maps.reader import MapFile
from data_prep.transforms.invariants import degree_norms, ring_norms
from downstream.features.kmeans_patches import PatchConfig, has_quadrants, learn_patch_features
from downstream.features.pca import COMPONENTS, compute_pca_features
from downstream.features.standardise import clear_rounding_noise
from downstream.metrics.frechet import compute_image_features, load_feature_network
from downstream.probes.component_choice import choose_components
from downstream.probes.fine_tune import FineTunedNetwork, fine_tune
from pretext.runs.trained_run import TrainedRun
from spectral_ssl.ground.config import to_toml
from spectral_ssl.ground.errors import UserError

IMAGES_AT_ONCE = 1024
TRAINED, UNTRAINED, REFERENCE = "trained network", "untrained network", "reference"

FeatureMaker = Callable[[int], NDArray[np.float32]]


@dataclass(frozen=True, kw_only=True)
class FeatureRow:
    """Features of one row of the table.

    Attributes
    ----------
    name : str
        Name of the row.
    make : callable
        Function of a seed that returns the features (N, D), float32, of all maps.
    fit : callable, optional
        Function of these features and of training rows (T,), int64, that returns the features (N,
        D'), float32, for these training rows, without labels.
    layers : mapping of str to slice, optional
        Columns of layers of a network. One layer is chosen inside each training split.
    is_random : bool
        Whether the features depend on the seed. Other features are computed once.
    settings : dict or None
        Settings, apart from the maps, on which the features depend, representable in JSON. None for
        features of the run, which are not cached.
    code : tuple of str
        Packages that compute the features.
    choose_count : callable, optional
        Function of the training features, their labels and a seed that returns how many leading
        features to use. None if all are used.
    tune : callable, optional
        Function of training rows, their labels and a seed that fine-tunes the network of the
        features. None if the features have no network.
    """

    name: str
    make: FeatureMaker
    fit: Callable[[NDArray[np.float32], NDArray[np.int64]], NDArray[np.float32]] | None = None
    layers: Mapping[str, slice] | None = None
    is_random: bool = False
    settings: dict[str, Any] | None
    code: tuple[str, ...] = ("data_prep", "downstream")
    choose_count: Callable[[NDArray[np.float32], NDArray[np.int64], int], int] | None = None
    tune: Callable[[NDArray[np.int64], NDArray[np.int64], int], FineTunedNetwork] | None = None


def list_feature_rows(
    run: TrainedRun,
    maps: MapFile,
    train: NDArray[np.int64],
    *,
    layers: Mapping[str, str] | None = None,
    candidates: Sequence[str] = (),
    more_layers: Sequence[str] = (),
    references: bool = False,
    patches: PatchConfig | None = None,
) -> list[FeatureRow]:
    """List all rows of the table: baselines, untrained network, trained network, its layers, references.

    Parameters
    ----------
    run : TrainedRun
        Run with the trained network.
    maps : MapFile
        Maps with the basis of the run.
    train : ndarray, shape (T,), int64
        Rows from which the centroids of patches are learnt, without labels.
    layers : dict of str to str, optional
        Layers of the networks by the names of their rows. Other networks use the layer of the run.
    candidates : sequence of str
        Layers of both networks, of which one is chosen inside each training split.
    more_layers : sequence of str
        Layers of the trained network that get additional rows.
    references : bool
        Whether to add features that others learnt with labels. They are an upper reference, not a
        competitor.
    patches : PatchConfig, optional
        Settings of the k-means patch features; by default there are as many centroids as the network
        has patch filters, at least those of ``PatchConfig``.

    Returns
    -------
    list of FeatureRow
        Rows in the order of the table.

    Raises
    ------
    UserError
        If references are requested for spectral maps, or their package is not installed.
    """
    is_image = maps.basis.kind == "pixels"
    trained, untrained = (run.at_layer((layers or {}).get(name, run.layer)) for name in (TRAINED, UNTRAINED))
    rows = _image_baselines(maps, train, patches or _match_filters(run)) if is_image else _spectral_baselines(maps)
    wide = "+".join(candidates)
    sizes = run.layers() if candidates else {}
    columns = _find_columns({name: sizes[name] for name in candidates})
    tuned = {TRAINED: trained, UNTRAINED: untrained}
    if candidates:
        trained, untrained = trained.at_layer(wide), untrained.at_layer(wide)
    rows += [
        FeatureRow(
            name=UNTRAINED,
            make=lambda seed: untrained.untrained(seed).encode_file(maps),
            layers=columns,
            is_random=True,
            # All candidates next to each other are a layer too, of which nothing is chosen.
            settings={**_untrained_settings(untrained), "chosen from": list(candidates)},
            code=("data_prep", "downstream", "pretext"),
            tune=lambda rows, labels, seed: fine_tune(tuned[UNTRAINED].untrained(seed), maps, rows, labels, seed),
        ),
        FeatureRow(
            name=TRAINED,
            make=partial(_encode, trained, maps),
            layers=columns,
            settings=None,
            tune=lambda rows, labels, seed: fine_tune(tuned[TRAINED], maps, rows, labels, seed),
        ),
    ]
    rows += [
        FeatureRow(name=f"{TRAINED}, {layer}", make=partial(_encode, run.at_layer(layer), maps), settings=None)
        for layer in more_layers
    ]
    if references:
        if not is_image:
            raise UserError("no reference for spectral maps", "--references", "leave it out: it is for images")
        rows.append(_reference(maps))
    return rows


def _match_filters(run: TrainedRun) -> PatchConfig:
    """Choose the settings of the k-means patches for a fair comparison: not fewer than the network's own filters."""
    own = getattr(getattr(run.plan.method_config, "networks", None), "filters", 0)
    usual = PatchConfig()
    return replace(usual, centroids=max(own, usual.centroids))


def is_training_free(name: str) -> bool:
    """Tell whether a row of the table is a baseline that needs no training; the untrained network is one."""
    return not name.startswith((TRAINED, REFERENCE))


def _find_columns(sizes: Mapping[str, int]) -> dict[str, slice]:
    """Find the columns of each layer in the joined features of all; empty if there are no layers."""
    ends = np.cumsum(list(sizes.values())).tolist()
    return {name: slice(end - size, end) for (name, size), end in zip(sizes.items(), ends, strict=True)}


def _reference(maps: MapFile) -> FeatureRow:
    """Make the row of features of images that were learnt with labels of ImageNet."""
    network = load_feature_network()  # Loaded now, so that a missing package is reported before any work.

    def make(seed: int) -> NDArray[np.float32]:
        blocks = np.array_split(maps.rows(), max(1, len(maps) // IMAGES_AT_ONCE))
        return np.concatenate(
            [compute_image_features(network, maps.read(block)).astype(np.float32) for block in blocks]
        )

    return FeatureRow(name=f"{REFERENCE}: EfficientNet-Lite0, ImageNet labels", make=make, settings={"side": 224})


def _encode(run: TrainedRun, maps: MapFile, seed: int) -> NDArray[np.float32]:
    """Compute the features of a run; they do not depend on the seed."""
    return run.encode_file(maps)


def _spectral_baselines(maps: MapFile) -> list[FeatureRow]:
    """List the training-free baselines of spectral maps."""

    def read_raw() -> NDArray[np.float32]:
        return unfold(maps.read(), maps.basis)

    return [
        FeatureRow(name="raw coefficients", make=lambda seed: read_raw(), fit=clear_rounding_noise, settings={}),
        _principal_components(read_raw),
        FeatureRow(
            name="rotation invariants",
            make=lambda seed: degree_norms(maps.read(), maps.basis),
            fit=clear_rounding_noise,
            settings={},
        ),
        FeatureRow(
            name="ring norms",
            make=lambda seed: ring_norms(maps.read(), maps.basis),
            fit=clear_rounding_noise,
            settings={},
        ),
    ]


def _principal_components(read_raw: Callable[[], NDArray[np.float32]]) -> FeatureRow:
    """Make the row of the principal components of raw maps."""
    return FeatureRow(
        name="PCA",
        make=lambda seed: read_raw(),
        fit=compute_pca_features,
        settings={"components": COMPONENTS},
        choose_count=choose_components,
    )


def _image_baselines(maps: MapFile, train: NDArray[np.int64], patches: PatchConfig) -> list[FeatureRow]:
    """List the training-free baselines of images."""

    def read_raw() -> NDArray[np.float32]:
        return maps.read().reshape(len(maps), -1)

    def compute_from_patches(seed: int) -> NDArray[np.float32]:
        compute = learn_patch_features(maps.read(train), patches)
        blocks = np.array_split(maps.rows(), max(1, len(maps) // IMAGES_AT_ONCE))
        return np.concatenate([compute(maps.read(block)) for block in blocks])

    rows = [
        FeatureRow(name="raw pixels", make=lambda seed: read_raw(), settings={}),
        _principal_components(read_raw),
    ]
    if has_quadrants(maps.basis.shape, patches):
        code = ("data_prep", "downstream", "pretext")
        rows.append(FeatureRow(name="k-means patches", make=compute_from_patches, settings=asdict(patches), code=code))
    return rows


def _untrained_settings(run: TrainedRun) -> dict[str, Any]:
    """Return what the features of the untrained network depend on: config, layer, whitening and statistics."""
    statistics = sha256()
    for values in (run.standardise.mean, run.standardise.std):
        statistics.update(values.numpy().tobytes())
    plan = run.plan
    # The section [train] is left out, because the training of a run does not change its untrained
    # copy.
    config = to_toml(
        {"run": {"method": plan.method, "task": plan.task}, "method": plan.method_config, "task": plan.task_config}
    )
    whitened = 0 if run.whitening is None else run.whitening.matrix.shape[1]
    return {"config": config, "statistics": statistics.hexdigest(), "layer": run.layer, "whitened": whitened}
