"""What is probed: the run's features, and beside them everything that costs nothing or sets a mark."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
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
from downstream.metrics.frechet import compute_image_features, load_feature_network
from downstream.probes.fine_tune import FineTunedNetwork, fine_tune
from pretext.runs.trained_run import TrainedRun
from spectral_ssl.ground.config import to_toml
from spectral_ssl.ground.errors import UserError

IMAGES_AT_ONCE = 1024
TRAINED, UNTRAINED = "trained network", "untrained network"

FeatureMaker = Callable[[int], NDArray[np.float32]]


@dataclass(frozen=True, kw_only=True)
class FeatureRow:
    """One kind of features.

    Attributes
    ----------
    name : str
        In the table.
    make : callable
        Features (N, D) float32 of all maps, for a seed.
    random : bool
        Whether they differ from seed to seed; else they are made once.
    settings : dict or None
        What they depend on beside the maps, as JSON can say it; None for the run's own, which are not cached.
    code : tuple of str
        The packages that compute them.
    tune : callable, optional
        (training rows, their labels, seed) -> the network behind them, trained on; None where there is no network.
    """

    name: str
    make: FeatureMaker
    random: bool = False
    settings: dict[str, Any] | None
    code: tuple[str, ...] = ("data_prep", "downstream")
    tune: Callable[[NDArray[np.int64], NDArray[np.int64], int], FineTunedNetwork] | None = None


def list_feature_rows(
    run: TrainedRun,
    maps: MapFile,
    train: NDArray[np.int64],
    *,
    layers: Mapping[str, str] | None = None,
    more_layers: Sequence[str] = (),
    references: bool = False,
    patches: PatchConfig | None = None,
) -> list[FeatureRow]:
    """All rows of the table, the trained network last but for its other layers and the references.

    Parameters
    ----------
    run : TrainedRun
        The run.
    maps : MapFile
        Of the run's basis.
    train : ndarray, shape (T,), int64
        The training rows: all that is fitted (components, centroids) is fitted on their maps, without labels.
    layers : dict of str to str, optional
        Layers of the networks by the names of their rows; the default ones where they are not named.
    more_layers : sequence of str
        Layers of the trained network that get rows of their own.
    references : bool
        Whether to add what others learnt with labels: an upper mark, not a competitor.
    patches : PatchConfig, optional
        Of the k-means patch features.

    Returns
    -------
    list of FeatureRow

    Raises
    ------
    UserError
        When references are asked for that do not exist: for spectral maps, or without their package.
    """
    images = maps.basis.kind == "pixels"
    own, fresh = (run.at_layer((layers or {}).get(name, run.layer)) for name in (TRAINED, UNTRAINED))
    rows = _image_baselines(maps, train, patches or PatchConfig()) if images else _spectral_baselines(maps, train)
    rows += [
        FeatureRow(
            name=UNTRAINED,
            make=lambda seed: fresh.untrained(seed).encode_file(maps),
            random=True,
            settings=_untrained_settings(fresh),
            code=("data_prep", "downstream", "pretext"),
            tune=lambda rows, labels, seed: fine_tune(fresh.untrained(seed), maps, rows, labels, seed),
        ),
        FeatureRow(
            name=TRAINED,
            make=partial(_encoded, own, maps),
            settings=None,
            tune=lambda rows, labels, seed: fine_tune(own, maps, rows, labels, seed),
        ),
    ]
    rows += [
        FeatureRow(name=f"{TRAINED}, {layer}", make=partial(_encoded, run.at_layer(layer), maps), settings=None)
        for layer in more_layers
    ]
    if references:
        if not images:
            raise UserError("no reference for spectral maps", "--references", "leave it out: it is for images")
        network = load_feature_network()  # now, so that a missing package is said before anything is computed

        def reference(seed: int) -> NDArray[np.float32]:
            blocks = np.array_split(maps.rows(), max(1, len(maps) // IMAGES_AT_ONCE))
            return np.concatenate([compute_image_features(network, maps.read(block)).astype(np.float32) for block in blocks])

        rows.append(
            FeatureRow(name="reference: EfficientNet-Lite0, ImageNet labels", make=reference, settings={"side": 224})
        )
    return rows


def _encoded(run: TrainedRun, maps: MapFile, seed: int) -> NDArray[np.float32]:
    """The features of a run, whatever the seed."""
    return run.encode_file(maps)


def _spectral_baselines(maps: MapFile, train: NDArray[np.int64]) -> list[FeatureRow]:
    def raw() -> NDArray[np.float32]:
        return unfold(maps.read(), maps.basis)

    return [
        FeatureRow(name="raw coefficients", make=lambda seed: raw(), settings={}),
        FeatureRow(name="PCA", make=lambda seed: compute_pca_features(raw(), train), settings={"components": COMPONENTS}),
        FeatureRow(name="rotation invariants", make=lambda seed: degree_norms(maps.read(), maps.basis), settings={}),
        FeatureRow(name="ring norms", make=lambda seed: ring_norms(maps.read(), maps.basis), settings={}),
    ]


def _image_baselines(maps: MapFile, train: NDArray[np.int64], patches: PatchConfig) -> list[FeatureRow]:
    def raw() -> NDArray[np.float32]:
        return maps.read().reshape(len(maps), -1)

    def of_patches(seed: int) -> NDArray[np.float32]:
        learnt = learn_patch_features(maps.read(train), patches)
        blocks = np.array_split(maps.rows(), max(1, len(maps) // IMAGES_AT_ONCE))
        return np.concatenate([learnt(maps.read(block)) for block in blocks])

    rows = [
        FeatureRow(name="raw pixels", make=lambda seed: raw(), settings={}),
        FeatureRow(name="PCA", make=lambda seed: compute_pca_features(raw(), train), settings={"components": COMPONENTS}),
    ]
    if has_quadrants(maps.basis.shape, patches):
        code = ("data_prep", "downstream", "pretext")
        rows.append(FeatureRow(name="k-means patches", make=of_patches, settings=asdict(patches), code=code))
    return rows


def _untrained_settings(run: TrainedRun) -> dict[str, Any]:
    """What the untrained network's features depend on: its config, the view its task takes, the standardisation."""
    statistics = sha256()
    for values in (run.standardise.mean, run.standardise.std):
        statistics.update(values.numpy().tobytes())
    plan = run.plan
    # not the section [train]: how long and how a run was trained leaves its untrained copy unchanged
    config = to_toml(
        {"run": {"method": plan.method, "task": plan.task}, "method": plan.method_config, "task": plan.task_config}
    )
    return {"config": config, "statistics": statistics.hexdigest(), "layer": run.layer}
