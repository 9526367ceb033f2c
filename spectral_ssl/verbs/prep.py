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

    Examples
    --------
    >>> import spectral_ssl
    >>> maps = spectral_ssl.prep("digits", out=folder / "digits.h5")
    >>> maps.read().shape, maps.classes[:3]
    ((1797, 1, 8, 8), ('0', '1', '2'))
    """
    return prepare_dataset(options)
