"""Features of every map of a file, by a trained run."""

from data_prep.map_store import MapFile
from downstream.feature_store import Features
from pretext.layers import pooling_in_words
from pretext.processes import ALONE, Processes
from pretext.runs import TrainedRun


def extract_features(run: TrainedRun, maps: MapFile, processes: Processes = ALONE) -> Features:
    """Encode all maps of a file.

    Parameters
    ----------
    run : TrainedRun
        Its network and its statistics are used, whatever the file's own statistics are.
    maps : MapFile
        Of the run's basis.
    processes : Processes
        Those that share the work; only the first gets the features, the others none.

    Returns
    -------
    Features
        In the file's order.

    Raises
    ------
    UserError
        When the basis is another.
    """
    return Features(
        values=run.encode_file(maps, processes=processes),
        ids=maps.ids,
        labels=maps.labels,
        splits=maps.splits,
        classes=maps.classes,
        about={
            "layer": run.layer,
            "pooling": pooling_in_words(run.layer),
            "checkpoint_digest": run.checkpoint_digest,
            "data_digest": maps.digest,
            "config": run.plan.to_toml(),
            "basis": maps.basis.to_json(),
            "source": maps.source,
        },
    )
