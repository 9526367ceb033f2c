"""Parse TOML texts that may come from somebody else.

``tomllib`` needs memory quadratic in the parts of a dotted key: 100 kB of ``a.a.a...`` take 6 GB. It
calls itself for each nested list or table in a line. So both are limited before it sees the text.
"""

import re
import tomllib
from typing import Any

LONGEST_TEXT = 2**20  # characters; a config of this project has about 2000
MOST_PARTS = 16  # of a dotted key; those of this project have at most three
MOST_NESTED = 16  # lists and tables within each other

# Strings and comments, in which dots and brackets mean nothing. A string that has no end matches up
# to the end of its line or of the text, so that no text is read twice.
_QUIET = re.compile(
    r'"""(?:[^\\]|\\.)*?(?:"""|\Z)'
    r"|'''.*?(?:'''|\Z)"
    r'|"(?:[^"\\\n]|\\[^\n])*(?:"|$|\\\n)'
    r"|'[^'\n]*(?:'|$)"
    r"|\#[^\n]*",
    re.DOTALL | re.MULTILINE,
)
_LONG_KEY = re.compile(rf"[\w-]+(?:[ \t]*\.[ \t]*[\w-]+){{{MOST_PARTS}}}")


def parse_toml(text: str) -> dict[str, Any]:
    r"""Parse a TOML text of bounded length and depth.

    Parameters
    ----------
    text : str
        At most 2^20 characters, keys of at most 16 parts, at most 16 lists or tables within each
        other.

    Returns
    -------
    dict
        The values by key.

    Raises
    ------
    tomllib.TOMLDecodeError
        If the text is no TOML or exceeds a limit; it is a ValueError.

    Examples
    --------
    >>> from spectral_ssl.ground.toml_text import parse_toml
    >>> parse_toml("[train]\nepochs = 3")
    {'train': {'epochs': 3}}
    """
    if len(text) > LONGEST_TEXT:
        raise tomllib.TOMLDecodeError(f"text of {len(text)} characters, more than {LONGEST_TEXT}")
    bare = _QUIET.sub("s", text)
    if _LONG_KEY.search(bare):
        raise tomllib.TOMLDecodeError(f"a key of more than {MOST_PARTS} parts")
    depth = 0
    for found in re.finditer(r"[\[\]{}]", bare):
        depth += 1 if found[0] in "[{" else -1
        if depth > MOST_NESTED:
            raise tomllib.TOMLDecodeError(f"more than {MOST_NESTED} lists or tables within each other")
    return tomllib.loads(text)
