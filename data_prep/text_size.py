"""A limit for text of numbers: each word of it becomes an object of Python, many times as large as its characters."""

from spectral_ssl.ground.errors import ObjectError

MOST_WORDS = 1 << 24  # measured: up to 130 bytes each while they are read, 2 GiB in all


def check_words(data: bytes) -> None:
    """See that a text has not too many words.

    Raises
    ------
    ObjectError
        When it has more than ``MOST_WORDS``, counted by the spaces and the ends of lines between them.
    """
    gaps = sum(data.count(sign) for sign in (b" ", b"\t", b"\n", b",", b"\r"))
    if gaps > MOST_WORDS:
        raise ObjectError(f"a text of {gaps} words, more than {MOST_WORDS}")
