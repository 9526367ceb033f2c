"""The description of an encoder, ``encoder.json``."""

import json
import re
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.files import read_small_text

FORMAT = "spectral-ssl encoder 1"
FACTS = "encoder.json"
LARGEST_FACTS = 1 << 20  # bytes
# A name becomes the name of a folder for the encoder's results, so it must not lead elsewhere.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


@dataclass(frozen=True, kw_only=True)
class EncoderFacts:
    """The description of an encoder, the content of ``encoder.json``.

    Attributes
    ----------
    name, version : str
        The encoder's name, and the version of its weights.
    plan : str
        Settings of method, task and training as TOML, without the path of the data.
    basis : str
        The basis of the maps, as ``Basis.to_json`` writes it.
    layer : str
        The layer that gives the features.
    dimensions : int
        The number of features; 0 if it is not known.
    recipe : str
        The command that trains the encoder; empty if it is not known.
    data, data_digest : str
        Name and digest of the training data.
    seed : int
        The seed of the training.
    digest : str
        SHA-256 of the weight file.
    licence : str
        The licence of the weights; empty if none is stated.
    created_by : str
        The program that wrote the folder.
    progress : dict
        How long the encoder was trained: the fields of ``Progress``.
    scores : dict
        Measured scores for the card, see ``pretext.pretrained.card``.
    """

    name: str
    version: str = "1"
    plan: str
    basis: str
    layer: str
    dimensions: int = 0
    recipe: str = ""
    data: str = ""
    data_digest: str = ""
    seed: int = 0
    digest: str
    licence: str = ""
    created_by: str = ""
    progress: dict[str, Any] = field(default_factory=dict)
    scores: dict[str, Any] = field(default_factory=dict)


def write_facts(facts: EncoderFacts) -> str:
    """Write the text of ``encoder.json``."""
    values = {"format": FORMAT, **asdict(facts), "basis": json.loads(facts.basis)}
    return json.dumps(values, indent=1) + "\n"


def read_facts(folder: Path) -> EncoderFacts:
    """Read the description of an encoder.

    Raises
    ------
    UserError
        If the file is missing, damaged, or of a later version.
    """
    path = folder / FACTS
    text = read_small_text(path, LARGEST_FACTS)
    try:
        values = json.loads(text)
        version = values.pop("format")
    except (ValueError, RecursionError, AttributeError, KeyError, TypeError) as error:
        raise UserError("not the description of an encoder", str(path), "give the folder of an encoder") from error
    if version != FORMAT:
        got = f"{str(version)[:60]!r} in {path}, this version reads {FORMAT!r}"
        raise UserError("an encoder of another version", got, "install the version of spectral-ssl that wrote it")
    try:
        values["basis"] = json.dumps(values["basis"], sort_keys=True)
        known = {each.name: values[each.name] for each in fields(EncoderFacts) if each.name in values}
        facts = EncoderFacts(**known)
        for each in fields(EncoderFacts):
            if type(getattr(facts, each.name)) is not _TYPES.get(each.name, str):
                raise TypeError(f"{each.name} of the wrong type")
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise UserError(
            "damaged description of the encoder", f"{path} ({str(error)[:100]})", "copy it again"
        ) from error
    check_name(facts.name, str(path))
    return facts


_TYPES: dict[str, type] = {"dimensions": int, "seed": int, "progress": dict, "scores": dict}


def check_name(name: str, where: str) -> None:
    """Raise a UserError unless a name can be the name of a folder."""
    if not NAME.fullmatch(name):
        do = "use up to 100 letters, digits, dots, dashes and underscores, a letter or a digit first"
        raise UserError("the name of the encoder is not allowed", f"{name[:100]!r} for {where}", do)
