"""Preparation of a source into a map file: load, sample, turn, transform, fold; several workers, one writer.

The result of an object depends only on the object and the basis: the basis' seed and the object's
id seed its sampling. So the file is bit-identical for any number of worker processes, in every run,
and after any number of kills. Until the file is complete, finished batches stay in a work folder
next to the target (``data_prep.pipeline.work_folder``).
"""

import math
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data_prep.basis import Basis
from data_prep.geometry.unit_ball import BY_FORMAT, parse_up
from data_prep.maps.reader import MapFile, build_fingerprint, open_maps
from data_prep.maps.writer import MapWriter
from data_prep.pipeline.checks.existing_file import METHOD, find_same_maps
from data_prep.pipeline.cloud_rows import cloud_rows_to_maps, compile_cloud_rows, lies_in_cloud_rows
from data_prep.pipeline.object_to_map import object_to_map, rows_to_maps
from data_prep.pipeline.source_records import digest_file_times, drop_unusable_names
from data_prep.pipeline.work_folder import (
    Fingerprint,
    Outcome,
    WorkFolder,
    get_work_folder,
    open_work_folder,
)
from data_prep.pipeline.workers import run_batches
from data_prep.source import ArrayRow, Item, Source, UpRule, advise_on_files, collect_notes
from spectral_ssl.ground.errors import TOO_LARGE, ObjectError, UserError
from spectral_ssl.ground.files import publish
from spectral_ssl.ground.provenance import created_by

BATCH = 16  # Number of objects in a task of a worker and in a shard.
# For fewer objects, starting worker processes takes longer than they save.
TOO_FEW_FOR_WORKERS = 256
# Images in one array are transformed all at once, so larger batches are faster.
LARGE_BATCH, BYTES_OF_LARGE_BATCH = 1024, 16 << 20
BATCH_OF_CLOUDS = 128  # Computed clouds in a task: a quarter of a second of work, and 3 MB of results.

# Called with the number of objects done and the number of all objects.
Progress = Callable[[int, int], None]


class AllFailed(UserError):
    """No object of a source can be used."""


def prepare_maps(
    source: Source,
    basis: Basis,
    out: Path,
    *,
    workers: int | None = None,
    up: str | None = None,
    overwrite: bool = False,
    keep_points: bool = False,
    progress: Progress | None = None,
    scheduler: str | None = None,
) -> MapFile:
    """Turn all objects of a source into maps and write them to one file.

    After an interruption, even by a kill or a full disk, the same call resumes the work.

    Parameters
    ----------
    source : Source
        The data set.
    basis : Basis
        The basis of the maps; for images ``data_prep.pipeline.image_survey.find_image_basis``.
    out : Path
        Path of the map file. The file appears when it is complete, or not at all.
    workers : int, optional
        Number of worker processes, 0 or 1 for none; by default the number of cores, and none for
        small sources.
    up : str, optional
        The axis that points up in the source's files, or "by-format" for the axis that the format of
        each file specifies (+z if it specifies none); by default the axis that the source states.
    overwrite : bool
        Whether an existing file may be replaced.
    keep_points : bool
        Whether to store the clouds with the maps, (N, P, 3) float16. They are rounded towards the
        origin, so that no point leaves the unit ball.
    progress : callable, optional
        Function that is called with (finished objects, all objects).
    scheduler : str, optional
        Address of a Dask scheduler whose workers replace local processes. They must see the
        source's files under the same paths.

    Returns
    -------
    MapFile
        The written file, opened. Its ``len`` is the number of maps; ``failures`` lists the failed
        objects. If the file exists and holds exactly these maps, nothing is done.

    Raises
    ------
    UserError
        When the file exists with other maps and may not be replaced, another process is making it, it was begun
        with other parameters, it cannot be written, the basis does not fit the source, all objects
        fail, or the source's files are damaged.

    Examples
    --------
    >>> import numpy as np
    >>> from data_prep import Item, Shape, Source, prepare_maps, zernike_basis
    >>> def load_cloud():
    ...     return Shape(np.random.default_rng(0).normal(size=(500, 3)))
    >>> items = tuple(Item(id=f"cloud-{number}", label=0, split="train", load=load_cloud) for number in range(3))
    >>> source = Source("clouds", "shapes", classes=("cloud",), items=items)

    >>> maps = prepare_maps(source, zernike_basis(degree=4), folder / "clouds.h5", workers=0)
    >>> maps.read().shape
    (3, 3, 5, 5)
    """
    out = Path(out)
    turn = _check(source, basis, up, workers, keep_points)
    source = drop_unusable_names(source)
    wanted = _fingerprint(source, basis, turn, keep_points)
    if not overwrite and not get_work_folder(out).is_dir():
        existing = find_same_maps(out, wanted, source)
        if existing is not None:
            return existing
    if not source.items:
        raise _all_failed(source, source.missing[0][1] if source.missing else "the source is empty")
    with open_work_folder(out) as work:
        # A kill between the last two steps leaves both the finished file and the folder. The file
        # is the wanted one.
        existing = None if overwrite else find_same_maps(out, wanted, source)
        if existing is not None:
            work.refuse_other(wanted)  # The folder may belong to a later prep that was to replace the file.
            work.remove()
            return existing
        try:
            work.begin(wanted, discard=overwrite)
            _fill(work, source, basis, turn, keep_points, workers, scheduler, progress)
            publish(work.assembled, out, overwrite=overwrite)
        except OSError as error:
            raise UserError(
                "the map file cannot be written",
                f"{out} ({error.strerror or error})",
                "make room, or choose another --out; repeat the command to resume",
            ) from error
        work.remove()
    return open_maps(out)


def find_finished_maps(
    source: Source, basis: Basis, out: Path, *, up: str | None = None, keep_points: bool = False
) -> MapFile | None:
    """Open the file that ``prepare_maps`` would write with these arguments, if it is finished.

    Returns
    -------
    MapFile or None
        None if the file does not exist, or there is unfinished work on it.

    Raises
    ------
    UserError
        When the file exists with other maps, or an argument is invalid.
    """
    turn = _check(source, basis, up, None, keep_points)
    if get_work_folder(out).is_dir():
        return None
    source = drop_unusable_names(source)
    return find_same_maps(out, _fingerprint(source, basis, turn, keep_points), source)


def _check(source: Source, basis: Basis, up: str | None, workers: int | None, keep_points: bool) -> UpRule:
    """Raise a UserError for invalid settings; return the axis that points up in the source's files."""
    if basis.kind != "pixels":
        from data_prep.pipeline.shape_to_map import check_settings  # imports numba (0.2 s), which images do not need

        check_settings(basis, keep_points)
    if (basis.kind == "pixels") != (source.kind == "images"):
        raise UserError(f"a basis that does not fit {source.kind}", basis.kind, "choose another --basis or --dataset")
    if keep_points and source.kind == "images":
        raise UserError("images have no points", "keep_points", "leave it out")
    if source.kind == "shapes" and basis.kind != "radial" and not 1 <= basis.points <= 1_000_000:
        raise UserError("points per object out of range", basis.points, "give 1 to 1000000")
    if basis.seed < 0:
        raise UserError("negative seed", basis.seed, "give 0 or more")
    if workers is not None and workers < 0:
        raise UserError("negative number of workers", workers, "give 0 or more")
    if up is not None and source.kind == "images":
        raise UserError("images have no up axis", up, "leave out --up")
    turn = source.up if up is None else up
    rule = parse_up(turn)
    if rule == BY_FORMAT and source.up != "+z":
        raise UserError(
            f"{source.name!r} states its up axis", f"--up {rule}", f"leave it out: its files have {source.up} up"
        )
    if len({item.id for item in source.items}) != len(source.items):
        raise UserError("objects of the same name", source.name, "give each file a different name")
    return rule


def _fingerprint(source: Source, basis: Basis, up: UpRule, keep_points: bool) -> Fingerprint:
    """Build the description of everything that the file's content depends on.

    It begins with the entries of ``MapFile.fingerprint``.
    """
    objects = sha256()
    for item in source.items:
        objects.update(f"{item.id}\0{item.label}\0{item.split}\n".encode())
    for identity, reason in source.missing:
        objects.update(f"{identity}\0{reason}\n".encode())
    origin = build_fingerprint(
        basis, source.name, source.digest, source.classes, "none" if source.kind == "images" else up, keep_points
    )
    return {
        **origin,
        "objects": f"{len(source.items)}, {objects.hexdigest()[:16]}",
        "times of the files": digest_file_times(source),
        "method": f"{METHOD}, {_choose_batch(source, basis)} in a batch, {created_by()}",
    }


def _all_failed(source: Source, reason: str) -> AllFailed:
    total = len(source.items) + len(source.missing)
    return AllFailed(
        f"{f'all {total} objects' if total != 1 else 'the only object'} of {source.name!r} failed",
        f"for example: {reason}",
        advise_on_files(source),
    )


def _fill(
    work: WorkFolder,
    source: Source,
    basis: Basis,
    up: UpRule,
    keep_points: bool,
    workers: int | None,
    scheduler: str | None,
    progress: Progress | None,
) -> None:
    """Run the unfinished batches, and write all batches to the file in order."""
    size = _choose_batch(source, basis)
    batches = [source.items[start : start + size] for start in range(0, len(source.items), size)]
    finished = {number for number in range(len(batches)) if work.has_batch(number)}
    left = [(number, batch) for number, batch in enumerate(batches) if number not in finished]
    total = len(source.items) + len(source.missing)
    done = total - sum(len(batch) for _, batch in left)
    # Images in an array are transformed faster than a worker starts or a shard is written.
    is_array = _lies_in_arrays(source)
    workers = _choose_workers(workers, 0 if is_array else sum(len(batch) for _, batch in left))
    if left and basis.kind != "pixels" and scheduler is None:
        # The main process compiles, because its log reaches the user. The workers load the code.
        if workers > 1:
            _precompile(unless_compiled=True)
        compile_cloud_rows(source)
    transform = partial(_transform, basis=basis, up=up, keep_points=keep_points)
    with MapWriter(
        work.assembled,
        basis,
        source=source.name,
        source_digest=source.digest,
        classes=source.classes,
        count=len(source.items),
        created_by=created_by(),
        keep_points=basis.points if keep_points else 0,
        source_up="none" if source.kind == "images" else up,
        method=METHOD,
    ) as writer:
        for identity, reason in source.missing:
            writer.fail(identity, reason)
        written = used = 0
        with closing(run_batches(transform, left, workers, scheduler)) as results:
            while written < len(batches):
                if written in finished:
                    used += _write(writer, batches[written], work.read(written))
                    written += 1
                    continue
                number, outcomes = next(results)
                if not is_array or number != written or any(isinstance(outcome, str) for outcome in outcomes):
                    work.write(number, outcomes)
                done += len(outcomes)
                if progress is not None:
                    progress(done, total)
                if number == written:  # This is the next batch of the file, so it need not be read again.
                    used += _write(writer, batches[written], outcomes)
                    written += 1
                else:
                    finished.add(number)
        if not used:
            reasons = (reason for reason in work.read(0) if isinstance(reason, str))
            work.discard_shards()  # If all objects fail, the user must correct something: nothing is worth resuming.
            raise _all_failed(source, next(reasons))


def _lies_in_arrays(source: Source) -> bool:
    """Tell whether all objects of a source are images that lie in arrays."""
    return {type(item.load) for item in source.items} == {ArrayRow}


def _choose_batch(source: Source, basis: Basis) -> int:
    """Choose the number of objects in a task of a worker and in a shard."""
    if lies_in_cloud_rows(source):
        return BATCH_OF_CLOUDS
    if not _lies_in_arrays(source):
        return BATCH
    return max(BATCH, min(LARGE_BATCH, BYTES_OF_LARGE_BATCH // (4 * math.prod(basis.shape))))


def _choose_workers(workers: int | None, objects: int) -> int:
    if workers is not None:
        return workers
    if objects < TOO_FEW_FOR_WORKERS:
        return 0
    import joblib  # The import takes 0.2 s.

    return int(joblib.cpu_count())


def _write(writer: MapWriter, items: Sequence[Item], outcomes: Sequence[Outcome]) -> int:
    """Write one batch, in order; return its number of maps."""
    good: list[Item] = []
    maps: list[NDArray[np.float32]] = []
    clouds: list[NDArray[np.float16]] = []
    for item, outcome in zip(items, outcomes, strict=True):
        if isinstance(outcome, str):
            writer.fail(item.id, outcome)
            continue
        good.append(item)
        maps.append(outcome[0])
        if outcome[1] is not None:
            clouds.append(outcome[1])
        for note in outcome[2]:
            writer.note(item.id, note)
    if good:
        writer.append(
            np.stack(maps),
            [item.id for item in good],
            [item.label for item in good],
            [item.split for item in good],
            np.stack(clouds) if clouds else None,
        )
    return len(good)


def _precompile(*, unless_compiled: bool = False) -> None:
    """Compile the transforms of shapes, or load the compiled code; do nothing for code that can be loaded later."""
    from data_prep.transforms import moment_sums  # imports numba (0.2 s), which images do not need

    if not (unless_compiled and moment_sums.is_compiled()):
        moment_sums.precompile()


# A Dask worker may run several tasks in threads of one process. Readers use
# `warnings.catch_warnings`, which is not thread-safe. So a process runs one batch at a time.
_batch_lock = threading.Lock()


def _transform(items: Sequence[Item], basis: Basis, up: UpRule, keep_points: bool) -> list[Outcome]:
    """Transform one batch; this is the task of a worker."""
    outcomes: list[Outcome] = []
    with _batch_lock:
        maps = rows_to_maps(items, basis)
        if maps is not None:
            return [(values, None, ()) for values in maps]
        if basis.kind != "pixels":
            _precompile()  # On another machine nothing may be compiled yet. One process compiles for all.
        try:
            made = cloud_rows_to_maps(items, basis, up)
        except ObjectError as error:
            return [str(error)] * len(items)
        if made is not None:
            halves = _to_half(made[1]) if keep_points else [None] * len(items)
            return [(values, half, ()) for values, half in zip(made[0], halves, strict=True)]
        for item in items:
            try:
                with collect_notes() as notes:
                    values, cloud = object_to_map(item, basis, up)
                half = _to_half(cloud) if keep_points and cloud is not None else None
                outcomes.append((values, half, tuple(notes)))
            except ObjectError as error:
                outcomes.append(str(error))
            except OSError as error:  # The file or its disk has disappeared.
                outcomes.append(f"cannot be read: {error.strerror or error}")
            except MemoryError:
                outcomes.append(TOO_LARGE)
    return outcomes


def _to_half(cloud: NDArray[np.float32]) -> NDArray[np.float16]:
    """Round to float16 towards zero; rounding to nearest would move points of norm 0.9999 out of the ball."""
    half = cloud.astype(np.float16)
    beyond = np.abs(half.astype(np.float32)) > np.abs(cloud)
    half[beyond] = np.nextafter(half[beyond], np.float16(0))
    return half
