"""Score the features of one row with the requested probes.

Random features (of the untrained network) are computed anew for every seed. For other features the
seeds affect the folds only. With the data set's own split, probes without randomness use the
features of the first seed. Everything that is fitted, from principal components to regularisation,
is fitted on the training samples of each split.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from downstream.features.standardise import standardise_features
from downstream.probes.classifiers.adam_layer import BATCH, EPOCHS, RATE, WEIGHT_DECAYS, fit_layer
from downstream.probes.classifiers.knn import NEIGHBOURS, predict_by_neighbours
from downstream.probes.classifiers.logistic import STRENGTHS, fit_logistic
from downstream.probes.classifiers.svm import SVM_STRENGTHS, fit_svm
from downstream.probes.compared_features import FeatureRow
from downstream.probes.cross_validation import FOLDS, MOST_CROSS_VALIDATED, WORSE_IN_A_ROW, FittedProbe
from downstream.probes.few_shot import DRAWS, FEW_SHOT_STRENGTH, LABELS_A_CLASS, predict_from_few_labels
from downstream.probes.fine_tune import BATCH as TUNING_BATCH
from downstream.probes.fine_tune import EPOCHS as TUNING_EPOCHS
from downstream.probes.fine_tune import HELD_OUT as TUNING_HELD_OUT
from downstream.probes.fine_tune import RATE_OF_LAYER, RATES
from downstream.probes.layer_choice import find_best_layer, score_layers
from downstream.probes.protocol.row_scores import NAN
from downstream.probes.protocol.splits import Evaluation, Split
from downstream.probes.protocol.verdict import write_outcomes
from spectral_ssl.ground.errors import UserError, unknown_name

# Description of each probe, for the JSON file of the table and for the keys of cached scores.
PROTOCOLS = {
    "linear": (
        f"linear: logistic regression, C of {STRENGTHS} by stratified {FOLDS}-fold cross-validation inside train (of "
        f"more than {MOST_CROSS_VALIDATED} training samples: on so many, drawn by class with the seed, until "
        f"{WORSE_IN_A_ROW} weaker C in a row were worse than the best)"
    ),
    "svm": f"svm: LinearSVC (squared hinge, one against the rest), C of {SVM_STRENGTHS} chosen likewise",
    "layer": (
        f"layer: one fully connected layer, Adam, {EPOCHS} epochs, batches of {BATCH}, rate {RATE}, weight decay of "
        f"{WEIGHT_DECAYS} chosen likewise"
    ),
    "neighbours": f"neighbours: cosine, k = {NEIGHBOURS}, faiss",
    "few-shot": (
        f"few-shot: {LABELS_A_CLASS} labels a class drawn from train, {DRAWS} draws; unit length, logistic regression, "
        f"C = {FEW_SHOT_STRENGTH:g}"
    ),
    "retrieval": "retrieval: mean average precision of classes among the test samples, cosine",
    "fine-tune": (
        f"fine-tune: upper reference: network and linear layer trained with labels, Adam, batches of "
        f"{TUNING_BATCH}, rate of {RATES} (linear layer {RATE_OF_LAYER}) and epochs of {TUNING_EPOCHS} chosen on "
        f"{TUNING_HELD_OUT:.0%} of train, then all of train; first seed"
    ),
}
PROBES = tuple(PROTOCOLS)
DEFAULT_PROBES = ("linear", "neighbours")
REPEATED = ("linear", "svm", "layer", "neighbours")  # In cross-validation these are scored in each repeat.
FITS: dict[str, Callable[[NDArray[np.float32], NDArray[np.int64], int], FittedProbe]] = {
    "linear": fit_logistic,
    "svm": fit_svm,
    "layer": fit_layer,
}


def check_probes(probes: Sequence[str]) -> tuple[str, ...]:
    """Check the names of probes and return each once, in the order of the table.

    Raises
    ------
    UserError
        If there is no name, or a name is unknown.
    """
    for name in probes:
        if name not in PROBES:
            raise unknown_name("probe", name, PROBES)
    if not probes:
        raise UserError("no probe requested", "--probes without a name", f"choose one of: {', '.join(PROBES)}")
    return tuple(name for name in PROBES if name in probes)


def score_row(row: FeatureRow, evaluation: Evaluation, probes: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Compute the features of a row and score them with the probes.

    Parameters
    ----------
    row : FeatureRow
        Features to score.
    evaluation : Evaluation
        Splits of each seed.
    probes : sequence of str
        Names of the probes, from ``PROBES``.

    Returns
    -------
    dict of str to dict
        Scores by the names of the probes, representable in JSON; for ``make_row``.

    Raises
    ------
    UserError
        If there are too few training labels, or a feature is not finite.
    """
    records = {probe: _Record() for probe in probes}
    repeats = REPEATED if evaluation.is_cross_validated else tuple(FITS)
    for number, seed in enumerate(evaluation.seeds):
        chosen = [probe for probe in probes if number == 0 or probe in repeats]
        if not chosen:
            break
        if number == 0 or row.is_random:
            values = row.make(seed)
            _check_values(values, evaluation, row.name)
        correct = {probe: np.zeros(len(evaluation.scored), np.bool_) for probe in chosen}
        for split in evaluation.rounds[number]:
            if number == 0 or row.is_random or evaluation.is_cross_validated:
                features, layers = _fit_features(row, values, split, seed)
            for probe in chosen:
                record = records[probe]
                record.add("dimensions", features.shape[1])
                record.add("layers", layers)
                predicted = _score_split(probe, record, row, features, split, seed)
                if predicted is not None:
                    correct[probe][split.positions] = split.sealed.mark_correct(predicted)
                    record.has_predictions = True
                    if probe == "linear" and number == 0:
                        record.confusion += split.sealed.compute_confusion(predicted, split.classes)
        for probe in chosen:
            if records[probe].has_predictions:
                records[probe].add("outcomes", write_outcomes(correct[probe]))
    return {probe: _summarise_record(probe, record, evaluation) for probe, record in records.items()}


@dataclass
class _Record:
    """Scores of a probe over all splits and seeds, collected by their names in JSON."""

    lists: dict[str, list[Any]] = field(default_factory=dict)
    confusion: Any = 0
    has_predictions: bool = False

    def add(self, name: str, value: object) -> None:
        """Append a value to a list; None is left out."""
        if value is not None:
            self.lists.setdefault(name, []).append(value)


def _check_values(values: NDArray[np.float32], evaluation: Evaluation, name: str) -> None:
    """Raise a UserError that names the row if a feature of a used sample is not finite."""
    used = np.union1d(evaluation.scored, evaluation.learnt_on)
    is_bad = ~np.isfinite(values[used]).all(axis=1)
    if is_bad.any():
        got = f"NaN or infinity in the {name} of {is_bad.sum()} of {len(used)} labelled samples"
        do = "train again with a lower learning rate, or run `spectral-ssl verify` on the maps"
        raise UserError("features that are not finite", got, do)


def _fit_features(
    row: FeatureRow, values: NDArray[np.float32], split: Split, seed: int
) -> tuple[NDArray[np.float32], dict[str, float] | None]:
    """Compute the features (N, D) of all maps as the training samples of a split determine them.

    The second result holds the score of each layer if one is chosen here.
    """
    features = row.fit(values, split.train) if row.fit else values
    if row.layers:
        scores = score_layers(features[split.train], split.labels, row.layers, seed)
        return features[:, row.layers[find_best_layer(scores, row.layers)]], scores
    if row.choose_count:
        features = features[:, : row.choose_count(features[split.train], split.labels, seed)]
    return features, None


def _score_split(
    probe: str, record: _Record, row: FeatureRow, features: NDArray[np.float32], split: Split, seed: int
) -> NDArray[np.int64] | None:
    """Predict the test labels of a split (T,); None for a probe that has scores of another kind."""
    train, test = features[split.train], features[split.test]
    if probe in FITS:
        fit = FITS[probe](train, split.labels, seed)
        record.add("strengths", fit.strength)
        record.add("cross_validation", fit.cross_validation)
        return fit.predict(test)
    if probe == "neighbours":
        return predict_by_neighbours(train, split.labels, test)
    if probe == "fine-tune":
        if row.tune is None:
            return None
        tuned = row.tune(split.train, split.labels, seed)
        for name in ("learning_rate", "epochs", "held_out"):
            record.add(name, getattr(tuned, name))
        return tuned.predict(split.test)
    if probe == "retrieval":
        score = split.sealed.score_retrieval(standardise_features(train, test)[1])
        record.add("retrieval", (score.mean_average_precision, score.chance))
        return None
    counts: dict[int, list[int]] = {}  # Correct predictions of each draw, by the number of labels.
    for prediction in predict_from_few_labels(train, split.labels, test):
        correct = int(split.sealed.mark_correct(prediction.predicted).sum())
        counts.setdefault(prediction.labels, []).append(correct)
    record.add("few-shot", counts)
    return None


def _summarise_record(probe: str, record: _Record, evaluation: Evaluation) -> dict[str, Any]:
    """Return the scores of a probe for JSON: sums and means over the splits."""
    scores: dict[str, Any] = dict(record.lists)
    if probe == "linear":
        scores["confusion"] = record.confusion.tolist()
    if probe == "few-shot":
        folds = scores.pop("few-shot")
        # A number of labels is shown if every fold has so many of each class; keys of JSON are text.
        shared = [labels for labels in folds[0] if all(labels in counts for counts in folds)]
        total = len(evaluation.scored)
        scores["accuracies"] = {
            str(labels): (np.sum([counts[labels] for counts in folds], axis=0) / total).tolist() for labels in shared
        }
    if probe == "retrieval":
        pairs = np.array(scores.pop("retrieval"))
        sizes = np.array([len(split.test) for split in evaluation.rounds[0]])
        # Folds in which no class has two samples have no score.
        is_scored = np.isfinite(pairs[:, 0])
        means = np.average(pairs[is_scored], axis=0, weights=sizes[is_scored]) if is_scored.any() else (NAN, NAN)
        scores["mean_average_precision"], scores["chance"] = map(float, means)
    return scores
