"""The card of an encoder: its description for people, written from ``encoder.json``."""

from data_prep.basis import Basis
from pretext.pretrained.facts import EncoderFacts
from spectral_ssl.ground.config import parse_toml
from spectral_ssl.ground.terminal import one_line

LIMITS = """\
* The features are those of shapes like the training data. Score them on data of your own before you
  rely on them: `spectral-ssl probe`.
* Maps must have the basis above. Points and meshes are transformed to it.
* The pose of the objects is that of the training task, see the settings."""


def write_card(facts: EncoderFacts, size: int) -> str:
    """Write the text of a card.

    Parameters
    ----------
    facts : EncoderFacts
        The description of the encoder. Its ``scores`` may hold ``rows``, a list of dicts of texts
        with the same keys, and ``note``, a text on how they were measured.
    size : int
        Bytes of the weight file.

    Returns
    -------
    str
        Markdown.
    """
    plan, basis = parse_toml(facts.plan), Basis.from_json(facts.basis)
    run = plan["run"]
    progress = facts.progress
    rows = [
        ("version", facts.version),
        ("method, task", f"{run['method']}, {run['task']}"),
        ("basis", f"{basis.kind}, degree {basis.degree}, {basis.points} points, {basis.up} up"),
        ("features", f"{facts.dimensions or 'unknown number'}, layer {facts.layer}"),
        ("training data", facts.data or "not stated"),
        ("digest of the data", f"`{facts.data_digest}`"),
        ("training", f"{progress.get('step', 0)} steps, {progress.get('epoch', 0)} epochs, seed {facts.seed}"),
        ("command", f"`{facts.recipe}`" if facts.recipe else "not stated"),
        ("weights", f"{size / 1e6:.2f} MB, SHA-256 `{facts.digest}`"),
        ("licence of the weights", facts.licence or "not stated"),
        ("written by", facts.created_by),
    ]
    table = ["| | |", "|---|---|", *(f"| {key} | {_cell(value)} |" for key, value in rows)]
    use = f'import spectral_ssl\n\nencoder = spectral_ssl.load("{facts.name}")  # or the folder of this file'
    parts = [
        f"# {facts.name}\n\nAn encoder of spectral-ssl: features of 3D shapes or images without training.",
        "\n".join(table),
        f"```python\n{use}\nfeatures = encoder.encode(clouds)  # (N, D) float32\n```",
        f"## Scores\n\n{_write_scores(facts)}",
        f"## Limits\n\n{LIMITS}",
        f"## Settings\n\n```toml\n{facts.plan.strip()}\n```",
    ]
    return "\n\n".join(parts) + "\n"


def _write_scores(facts: EncoderFacts) -> str:
    """Write the table of scores."""
    rows, note = facts.scores.get("rows"), facts.scores.get("note", "")
    if not rows:
        return "Not measured."
    keys = [*rows[0]]
    lines = [f"| {' | '.join(_cell(key) for key in keys)} |", f"|{'---|' * len(keys)}"]
    lines += [f"| {' | '.join(_cell(row.get(key, '')) for key in keys)} |" for row in rows]
    return "\n".join(lines) + (f"\n\n{note}" if note else "")


def _cell(value: object) -> str:
    """Write a value as a cell of a table."""
    return one_line(value).replace("|", "\\|")
