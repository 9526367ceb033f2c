"""What the pages of the manual hold: links, headings, commands and blocks of code. Shared by the tests of the manual.

A page is Markdown as the pages here use it: fenced blocks that name their language, blocks indented by four spaces with
commands or formulas, and spans of code in the text. Two marks in comments are understood, both visible to the reader:

* ``# needs X``, on a command or on the first line of a block of Python: it is not run, for want of X;
* ``# refused: TEXT``, on a command: it ends with exit status 2 and says TEXT.
"""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGES = {
    path.stem: path for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")))
}
FENCE = re.compile(r"^(`{3,})(.*)$")


@dataclass(frozen=True)
class Block:
    """A block of code of a page: its language ("" for an indented one) and its lines, without the indentation."""

    language: str
    lines: tuple[str, ...]

    @property
    def text(self) -> str:
        """All lines."""
        return "\n".join(self.lines) + "\n"

    @property
    def is_python(self) -> bool:
        """Whether it is a program."""
        first = next((line for line in self.lines if not line.startswith("#")), "")
        return self.language == "python" or (not self.language and bool(re.match(r"(import|from) \w", first)))


def blocks(text: str) -> list[Block]:
    """All blocks of code, in order."""
    found: list[Block] = []
    lines = text.splitlines()
    place = 0
    while place < len(lines):
        fence = FENCE.match(lines[place])
        if fence:
            end = lines.index(fence[1], place + 1)
            found.append(Block(fence[2].strip() or "text", tuple(lines[place + 1 : end])))
            place = end + 1
        elif lines[place].startswith("    ") and (place == 0 or not lines[place - 1].strip()):
            end = place
            while end < len(lines) and (lines[end].startswith("    ") or not lines[end].strip()):
                end += 1
            inside = [line[4:] for line in lines[place:end]]
            while not inside[-1].strip():
                inside.pop()
            found.append(Block("", tuple(inside)))
            place = end
        else:
            place += 1
    return found


def prose(text: str) -> str:
    """A page without its blocks of code; spans of code stay."""
    kept, fence = [], ""
    for line in text.splitlines():
        if fence:
            fence = "" if line == fence else fence
        elif match := FENCE.match(line):
            fence = match[1]
        elif not line.startswith("    "):
            kept.append(line)
    return "\n".join(kept)


def spans(text: str) -> list[str]:
    """Spans of code in the text, also those that go on in the next line."""
    return [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", prose(text))]


def links(text: str) -> list[str]:
    """Targets of links and pictures."""
    return re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`]*`", "", prose(text)))


def anchors(text: str) -> set[str]:
    """Names of the headings, as a forge makes them."""
    found: dict[str, int] = {}
    names = set()
    for heading in re.findall(r"^#+ (.+)$", prose(text), flags=re.MULTILINE):
        plain = re.sub(r"[^\w\- ]", "", heading.replace("`", "").lower()).strip().replace(" ", "-")
        count = found.get(plain, 0)
        found[plain] = count + 1
        names.add(f"{plain}-{count}" if count else plain)
    return names


@dataclass(frozen=True)
class Command:
    """A command line of the manual.

    Attributes
    ----------
    words : tuple of str
        As a shell would split it, without comments, and without the brackets that say "may be left out".
    comment : str
        What stands behind ``#``.
    """

    words: tuple[str, ...]
    comment: str

    @property
    def needs(self) -> bool:
        """Whether it cannot be run here."""
        return self.comment.startswith("needs ")

    @property
    def refused(self) -> str:
        """What it says when it ends with exit status 2, "" for a command that works."""
        return self.comment.removeprefix("refused: ") if self.comment.startswith("refused: ") else ""


def command(line: str) -> Command:
    """A line of a block as a command."""
    before, _, after = line.partition(" #")
    return Command(tuple(shlex.split(before.replace("[", " ").replace("]", " "))), after.strip())


def commands(text: str, first: str) -> list[Command]:
    """All commands of a page that begin with ``first``, in blocks and in spans."""
    code = "\n".join(block.text for block in blocks(text) if not block.is_python).replace("\\\n", " ")
    lines = [re.sub(r"^.* -m spectral_ssl ", "spectral-ssl ", line) for line in (*code.splitlines(), *spans(text))]
    lines = [re.sub(r"^([A-Z_]+=\S+ )+", "", line) for line in lines]
    return [command(line) for line in lines if line.startswith(f"{first} ")]
