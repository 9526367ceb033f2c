"""No code of the probe reads a test label before the final score.

All predictions that are scored are recorded, with the choices made before. Shuffled test labels must
change neither; they may change the scores only.
"""

from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from conftest import write_random_maps
from numpy.typing import NDArray

import spectral_ssl
from data_prep.basis import pixel_basis, zernike_basis
from data_prep.maps.reader import MapFile
from downstream.features.kmeans_patches import PatchConfig
from downstream.probes import compared_features as probed_features
from downstream.probes import few_shot, fine_tune, layer_choice
from downstream.probes import rows as row_scores
from downstream.probes import table as probe
from downstream.probes.classifiers.logistic import fit_logistic
from downstream.probes.few_shot import FewShotPrediction
from downstream.probes.protocol.row_scores import ProbeRow
from downstream.probes.rows import PROBES
from downstream.probes.sealed_labels import SealedLabels
from pretext.runs.trained_run import TrainedRun

TINY = ("steps=2", "width=4", "code=8", "hidden=8")
pytestmark = pytest.mark.usefixtures("quick_probes")


@dataclass
class Record:
    """What was decided: the choices in the table, the few labels drawn, and all predictions and features scored.

    The choices are those of regularisation, of layers, and of how long and how fast to fine-tune.
    """

    choices: list[Any] = field(default_factory=list)
    drawn: list[NDArray[Any]] = field(default_factory=list)
    scored: list[NDArray[Any]] = field(default_factory=list)
    rows: tuple[ProbeRow, ...] = ()

    def same_decisions(self, other: "Record") -> bool:
        arrays = zip(self.drawn + self.scored, other.drawn + other.scored, strict=True)
        return self.choices == other.choices and all(np.array_equal(one, two) for one, two in arrays)


def record(
    run: TrainedRun,
    maps: MapFile,
    monkeypatch: pytest.MonkeyPatch,
    pose: Any = "aligned",
    probes: tuple[str, ...] = PROBES,
    seeds: int = 2,
    layer: str = "default",
) -> Record:
    """Probe and write down what is decided on the way and what reaches the final score."""
    kept = Record()
    with monkeypatch.context() as patch:
        for name in ("mark_correct", "compute_confusion", "score_retrieval"):
            original = getattr(SealedLabels, name)

            def spy(self: SealedLabels, prediction: Any, *rest: Any, original: Any = original) -> Any:
                kept.scored.append(np.array(prediction))
                return original(self, prediction, *rest)

            patch.setattr(SealedLabels, name, spy)

        def draws(*features: Any) -> Any:
            for prediction in few_shot.predict_from_few_labels(*features):
                assert isinstance(prediction, FewShotPrediction)
                kept.drawn.append(prediction.chosen)
                yield prediction

        patch.setattr(row_scores, "predict_from_few_labels", draws)
        patches = PatchConfig(side=3, centroids=5, patches=200)
        table = probe.probe_run(run, maps, seeds, split="own", probes=probes, pose=pose, layer=layer, patches=patches)
    kept.rows = table.rows
    kept.choices = [
        (
            row.dimensions,
            [(fit.strengths, fit.cross_validation) for fit in (row, row.svm, row.layer) if fit is not None],
            [scores.labels for scores in row.few_shot],
            row.fine_tune and (row.fine_tune.learning_rate, row.fine_tune.epochs, row.fine_tune.held_out),
        )
        for row in table.rows
    ]
    kept.choices += [(choice.row, choice.layer, choice.scores) for choice in table.layer_choices]
    return kept


def shuffle_test_labels(maps: MapFile) -> MapFile:
    test = maps.rows("test")
    labels = maps.labels.copy()
    labels[test] = np.random.default_rng(0).permutation(labels[test])
    return replace(maps, labels=labels)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[TrainedRun, MapFile]]:
    """A run on spectral maps and one on images, with their maps."""
    folder = tmp_path_factory.mktemp("sealed")
    found = {}
    for kind, basis in (("spectral", zernike_basis(3)), ("images", pixel_basis(1, 8, 8))):
        maps = write_random_maps(folder / f"{kind}.h5", basis)
        found[kind] = spectral_ssl.pretrain(maps, method="cgml", epochs=1, settings=TINY, out=folder / kind), maps
    return found


@pytest.mark.parametrize(
    ("kind", "pose", "layer"),
    [("spectral", "aligned", "auto"), ("spectral", "so3", "default"), ("images", "aligned", "auto")],
)
def test_shuffled_test_labels_leave_every_decision_unchanged(
    kind: str, pose: str, layer: str, trained: dict[str, tuple[TrainedRun, MapFile]], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, maps = trained[kind]
    honest = record(run, maps, monkeypatch, pose, layer=layer)
    shuffled = record(run, shuffle_test_labels(maps), monkeypatch, pose, layer=layer)
    assert len(honest.rows) == (6 if kind == "spectral" else 5)
    # of each row: 2 seeds of 3 fitted probes, a confusion matrix, neighbours, retrieval, and 2 draws of 3 numbers;
    # and of the two networks the fine-tuned ones
    assert len(honest.scored) == len(honest.rows) * (6 + 1 + 1 + 1 + 6) + 2
    assert len(honest.choices) == len(honest.rows) + (2 if layer == "auto" else 0)
    assert honest.same_decisions(shuffled)
    for one, two in zip(honest.rows, shuffled.rows, strict=True):
        assert (one.confusion, one.retrieval) != (two.confusion, two.retrieval), "the shuffle changed nothing"


@pytest.mark.parametrize("leak", ["regularisation", "draws", "layer", "epochs"])
def test_a_leak_of_test_labels_would_be_found(
    leak: str, trained: dict[str, tuple[TrainedRun, MapFile]], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, maps = trained["spectral"]
    probed = {"regularisation": "linear", "draws": "few-shot", "layer": "neighbours", "epochs": "fine-tune"}[leak]
    recorded = []
    for each in (maps, shuffle_test_labels(maps)):
        hidden = each.labels[each.rows("test")]
        with monkeypatch.context() as patch:
            if leak == "regularisation":

                def best_on_test(features: Any, labels: Any, seed: int, hidden: Any = hidden) -> Any:
                    fitted = fit_logistic(features, labels, seed)
                    return replace(fitted, strength=float((fitted.predict(features[:24]) == hidden).mean()))

                patch.setitem(row_scores.FITS, "linear", best_on_test)
            elif leak == "layer":

                def scored_on_test(features: Any, labels: Any, seed: int, hidden: Any = hidden) -> Any:
                    fitted = fit_logistic(features, labels, seed)
                    return replace(fitted, cross_validation=float((fitted.predict(features[:24]) == hidden).mean()))

                patch.setattr(layer_choice, "fit_logistic", scored_on_test)
            elif leak == "epochs":

                def tuned_on_test(run: Any, maps: Any, train: Any, labels: Any, seed: int, hidden: Any = hidden) -> Any:
                    tuned = fine_tune.fine_tune(run, maps, train, labels, seed)
                    return replace(tuned, held_out=float((tuned.predict(train[:24]) == hidden).mean()))

                patch.setattr(probed_features, "fine_tune", tuned_on_test)
            else:

                def peek(labels: Any, count: int, draw: int, hidden: Any = hidden) -> Any:
                    order = np.argsort(hidden, kind="stable")
                    return np.concatenate([order[labels[order] == each][:count] for each in np.unique(labels)])

                patch.setattr(few_shot, "draw_labels", peek)
            layer = "auto" if leak == "layer" else "default"
            recorded.append(record(run, each, monkeypatch, probes=(probed,), seeds=1, layer=layer))
    assert not recorded[0].same_decisions(recorded[1])


def test_the_envelope_gives_out_scores_only() -> None:
    sealed = SealedLabels(np.array([0, 1, 1]))
    assert {name for name in dir(sealed) if not name.startswith("_")} == {
        "compute_confusion",
        "mark_correct",
        "score_retrieval",
    }
    assert len(sealed) == 3
    assert sealed.mark_correct(np.array([0, 1, 0])).tolist() == [True, True, False]
    assert sealed.compute_confusion(np.array([0, 1, 0]), 3).tolist() == [[1, 0, 0], [1, 1, 0], [0, 0, 0]]
    assert sealed.score_retrieval(np.array([[1.0, 0], [0, 1], [0, 2]], np.float32)).mean_average_precision == 1
    assert np.isnan(SealedLabels(np.array([0, 1])).score_retrieval(np.eye(2, dtype=np.float32)).mean_average_precision)
