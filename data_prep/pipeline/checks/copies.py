"""Search for files of the same content: in two splits they leak, under two labels they contradict each other."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from data_prep.pipeline.source_records import list_paths
from data_prep.source import ArrayRow, Source, Split

EDGE = 4096  # Bytes at the start and the end of a file, which tell most files of one size apart.


@dataclass(frozen=True)
class _Candidate:
    """The id of an object, its file with its size in bytes, and the object's split and label (-1 for none)."""

    id: str
    path: Path
    size: int
    split: Split
    label: int


def find_copies(source: Source, tell: Callable[[int, int], None] | None = None) -> list[str]:
    """Find objects whose files have equal content, also by links, in different splits or with different labels.

    Parameters
    ----------
    source : Source
        A source. Objects that share a file with others, or have several files, do not count.
    tell : callable, optional
        Function that is called with (finished files, all files) of the files that are read. Only
        files of equal size are read.

    Returns
    -------
    list of str
        At most two lines: the copies across splits, and those with several labels.
    """
    candidates = _list_candidates(source)
    by_size = defaultdict(list)
    for each in candidates:
        by_size[each.size].append(each)
    alike = [group for group in by_size.values() if len(group) > 1]
    total, done = sum(len(group) for group in alike), 0
    leaks: list[tuple[_Candidate, _Candidate]] = []
    contradictions: list[list[_Candidate]] = []
    for group in alike:
        for copies in _group_equal(group):
            training = [each for each in copies if each.split == "train"]
            held_out = [each for each in copies if each.split != "train"]
            if training:
                leaks += [(each, training[0]) for each in held_out]
            elif len({each.split for each in held_out}) > 1:
                leaks += [(each, held_out[0]) for each in held_out if each.split != held_out[0].split]
            labelled = [each for each in copies if each.label >= 0]
            if len({each.label for each in labelled}) > 1:
                contradictions.append(labelled)
        done += len(group)
        if tell is not None:
            tell(done, total)
    return [*_describe_leaks(leaks, contradictions), *_describe_contradictions(contradictions)]


def _list_candidates(source: Source) -> list[_Candidate]:
    """List the objects that have a file of their own with some content."""
    files = [(item, list(list_paths(item.load))) for item in source.items if not isinstance(item.load, ArrayRow)]
    owners = Counter(paths[0] for _, paths in files if len(paths) == 1)
    candidates = []
    for item, paths in files:
        if len(paths) != 1 or owners[paths[0]] > 1:
            continue
        try:
            size = paths[0].stat().st_size
        except OSError:  # It will be a failed object.
            continue
        if size:
            candidates.append(_Candidate(item.id, paths[0], size, item.split, item.label))
    return candidates


def _group_equal(group: Sequence[_Candidate]) -> Iterator[list[_Candidate]]:
    """Yield the groups of two and more files of equal content among files of one size."""
    by_edges = defaultdict(list)
    for each in group:
        by_edges[_hash_file(each.path, each.size, whole=False)].append(each)
    for similar in by_edges.values():
        if len(similar) < 2:
            continue
        if similar[0].size <= 2 * EDGE:
            yield similar
            continue
        by_content = defaultdict(list)
        for each in similar:
            by_content[_hash_file(each.path, each.size, whole=True)].append(each)
        yield from (equal for equal in by_content.values() if len(equal) > 1)


def _hash_file(path: Path, size: int, *, whole: bool) -> bytes:
    """Compute the hash of a file or of its edges; of an unreadable file that of its path, which equals no other."""
    digest = blake2b(digest_size=16)
    try:
        with path.open("rb") as stream:
            if whole:
                while block := stream.read(1 << 20):
                    digest.update(block)
            else:
                digest.update(stream.read(EDGE))
                if size > EDGE:
                    stream.seek(max(EDGE, size - EDGE))
                    digest.update(stream.read(EDGE))
    except OSError:  # It will be a failed object.
        return str(path).encode(errors="replace")
    return digest.digest()


def _describe_leaks(
    leaks: Sequence[tuple[_Candidate, _Candidate]], contradictions: Sequence[Sequence[_Candidate]]
) -> Iterator[str]:
    """Count the copies in one line; its example differs from that of the contradictory labels if there is another."""
    if leaks:
        used = set(contradictions[0]) if contradictions else set()
        example = next((copy for copy, _ in leaks if copy not in used), leaks[0][0])
        counts = Counter((copy.split, original.split) for copy, original in leaks)
        what = ", ".join(f"{count} of {split} are also in {other}" for (split, other), count in counts.items())
        yield f"the splits leak: {what}, such as {example.id}: scores are too good, remove them"


def _describe_contradictions(contradictions: Sequence[Sequence[_Candidate]]) -> Iterator[str]:
    """Count the contents with several labels in one line."""
    if contradictions:
        first = contradictions[0][0]
        other = next(each for each in contradictions[0] if each.label != first.label)
        what = f"{len(contradictions)} file{'s' * (len(contradictions) > 1)} with copies in another class"
        yield f"contradictory labels: {what}, such as {first.id} and {other.id}: keep one of each"
