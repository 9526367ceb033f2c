"""``prep``: turn raw data into a map file."""

from data_prep.maps.reader import MapFile
from spectral_ssl.planning.options import takes_options
from spectral_ssl.planning.prep_options import PrepOptions
from spectral_ssl.planning.prep_plan import prepare_dataset


@takes_options(PrepOptions)
def prep(options: PrepOptions) -> MapFile:
    """Turn raw data into a map file. After an interruption, even a kill, the same call resumes the work.

    Returns
    -------
    MapFile
        The finished map file.

    Raises
    ------
    UserError
        When data or options are invalid; nothing is written then.
    """
    return prepare_dataset(options)
