"""Where the network of a run or an encoder comes from: the option that loads it again, and its training data."""

from pathlib import Path

from pretext.pretrained.facts import read_facts
from pretext.pretrained.find import SHIPPED, find_encoder
from pretext.runs.trained_run import TrainedRun

UNIVERSE = "the universe"


def is_encoder(run: TrainedRun) -> bool:
    """Tell whether a run is an encoder, which has neither a training nor data of its own."""
    return bool(run.name)


def name_option(run: TrainedRun) -> tuple[str, str]:
    """Return the option and its value that load a run or an encoder again on the command line.

    Parameters
    ----------
    run : TrainedRun
        A run or an encoder.

    Returns
    -------
    option, value : str
        E.g. "--encoder", "universe-upright"; or "--run" and the folder of the run.
    """
    if not is_encoder(run):
        return "--run", str(run.folder)
    source = run.checkpoint_path.parent
    is_shipped = run.name in SHIPPED and source == find_encoder(run.name)
    return "--encoder", run.name if is_shipped else str(source)


def name_training_data(run: TrainedRun) -> str:
    """Return the name of the data that a run or an encoder was trained on.

    Parameters
    ----------
    run : TrainedRun
        A run or an encoder.

    Returns
    -------
    str
        The name of the map file, or "the universe" for new shapes in each epoch.
    """
    if run.plan.train.data.fresh:
        return UNIVERSE
    if is_encoder(run):
        return read_facts(run.checkpoint_path.parent).data or "unknown data"
    return Path(run.plan.data).name
