"""From a source to a map file: load, sample, turn, transform, fold; in several processes, with one writer.

Every object's result depends on the object, the basis and nothing else: the sampling is seeded by the basis' seed and
the object's id. So the file is bit for bit the same for any number of worker processes, on every run, and after any
number of kills: finished batches are kept beside the target (``data_prep.pipeline.work_folder``) until the file is complete.
"""

import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from data_prep.basis import Basis, pixel_basis
from data_prep.geometry.unit_ball import TURNS
from data_prep.maps.reader import MapFile, build_fingerprint, open_maps
from data_prep.maps.writer import MapWriter
from data_prep.pipeline.shape_to_map import check_settings, shape_to_map
from data_prep.pipeline.source_records import digest_file_times, drop_unusable_names
from data_prep.pipeline.work_folder import (
    Fingerprint,
    Outcome,
    WorkFolder,
    describe_differences,
    get_work_folder,
    open_work_folder,
)
from data_prep.pipeline.workers import run_batches
from data_prep.source import Item, Shape, Source, Up
from data_prep.transforms import moment_sums as moments
from spectral_ssl.ground.errors import ObjectError, UserError, unknown_name
from spectral_ssl.ground.files import publish
from spectral_ssl.ground.provenance import created_by

# Raise it with any change of the code that changes what becomes of an object: unfinished work of older code is then
# not gone on with.
METHOD = 1
BATCH = 16  # objects handed to a worker at once, and kept at once
# Below this many objects worker processes take longer to start than they save.
TOO_FEW_FOR_WORKERS = 256
FIRST_IMAGES = 32  # looked at to see whether a set is grey or in colour
LARGEST_IMAGE = 512  # pixels on a side: maps are float32 and one sample of a batch

# Called with the number of objects done and the number of all objects.
Progress = Callable[[int, int], None]


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

    When it is stopped, even by a kill or a full disk, the same call goes on where it was.

    Parameters
    ----------
    source : Source
        What to prepare.
    basis : Basis
        What the maps shall be; for images ``image_basis(source)``.
    out : Path
        The file. It appears when it is complete, or not at all.
    workers : int, optional
        Worker processes, 0 or 1 for none; by default as many as there are cores, none for small sources.
    up : str, optional
        The axis that points up in the source's files, instead of what the source says.
    overwrite : bool
        Whether an existing file may be replaced.
    keep_points : bool
        Whether to store the clouds beside the maps, (N, P, 3) float16. They are rounded towards the origin, so that
        no point leaves the unit ball.
    progress : callable, optional
        Called with (objects done, all objects).
    scheduler : str, optional
        Address of a Dask scheduler whose workers are used instead of processes here. They must see the source's
        files under the same paths.

    Returns
    -------
    MapFile
        The file written, opened; ``len`` of it is the number of maps, ``failures`` the objects that could not be used.

    Raises
    ------
    UserError
        When the file exists and may not be replaced, it is being made by another process or was begun with other
        parameters, it cannot be written, the basis does not fit the source, no object could be used, or the source's
        files turn out to be damaged.
    """
    out = Path(out)
    turn = _check(source, basis, up, workers, keep_points)
    source = drop_unusable_names(source)
    wanted = _fingerprint(source, basis, turn, keep_points)
    if not get_work_folder(out).is_dir():
        _refuse_existing(out, overwrite, wanted)
    if not source.items:
        raise _nothing_used(source, source.missing[0][1] if source.missing else "the source is empty")
    with open_work_folder(out) as work:
        # A kill between the last two steps leaves the finished file and the folder. It is the file that was asked for.
        if out.exists() and not overwrite and _differences(out, wanted) == "":
            work.refuse_other(wanted)  # the folder may be of a later prep that was to replace the file
            work.remove()
            return open_maps(out)
        _refuse_existing(out, overwrite, wanted)
        try:
            work.begin(wanted, discard=overwrite)
            _fill(work, source, basis, turn, keep_points, workers, scheduler, progress)
            publish(work.assembled, out, overwrite=overwrite)
        except OSError as error:
            raise UserError(
                "the map file cannot be written",
                f"{out} ({error.strerror or error})",
                "make room, or choose another --out; repeat the command to go on where it stopped",
            ) from error
        work.remove()
    return open_maps(out)


def find_image_basis(source: Source) -> Basis:
    """The basis of a source of images: the size of the first that can be read; in colour if any of the first 32 is.

    Raises
    ------
    UserError
        When none of them can be read or they are too large.
    """
    shapes: list[tuple[int, ...]] = []
    reason = "no images"
    for item in source.items:
        try:
            loaded = item.load()
        except ObjectError as error:
            reason = str(error)
            continue
        if isinstance(loaded, Shape):
            raise UserError("a source of shapes", source.name, "give a basis of shapes")
        shapes.append(loaded.shape)
        if len(shapes) == FIRST_IMAGES:
            break
    if not shapes:
        raise UserError(f"no readable image in {source.name!r}", reason, "look at the files, and at --root")
    _, height, width = shapes[0]
    if max(height, width) > LARGEST_IMAGE:
        raise UserError("images too large", f"{width}x{height} pixels", f"give --size, at most {LARGEST_IMAGE}")
    return pixel_basis(max(shape[0] for shape in shapes), height, width, paired=source.paired)


def object_to_map(item: Item, basis: Basis, up: Up) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """One object's map.

    Parameters
    ----------
    item : Item
        The object.
    basis : Basis
        What its map shall be.
    up : {"+x", "-x", "+y", "-y", "+z", "-z"}
        The axis that points up in the object's own file.

    Returns
    -------
    map : ndarray, shape ``basis.shape``, float32
    cloud : ndarray, shape (basis.points, 3), float32, or None
        The points it was made from; None where it was made from an image or from the mesh itself.

    Raises
    ------
    ObjectError
        When the object cannot be used.
    """
    loaded = item.load()
    if not isinstance(loaded, Shape):
        return _image_to_map(loaded, basis), None
    return shape_to_map(loaded, basis, up, make_object_generator(basis.seed, item.id))


def make_object_generator(seed: int, identity: str) -> np.random.Generator:
    """The random generator of one object: independent of every other object's, of order and of processes."""
    words = np.frombuffer(sha256(identity.encode()).digest(), "<u4")
    return np.random.default_rng([seed, *(int(word) for word in words)])


def _image_to_map(image: NDArray[np.uint8], basis: Basis) -> NDArray[np.float32]:
    """Pixels 0..255 to -1..1; a grey picture among coloured ones gets its channel three times."""
    if 3 * image.shape[0] == basis.shape[0]:
        image = np.repeat(image, 3, axis=0)  # of a pair: A, A, A, B, B, B
    if image.shape != basis.shape:
        raise ObjectError(
            f"an image of shape {image.shape} among images of {basis.shape}: make all the same size, or give --size"
        )
    return (image.astype(np.float32) / 127.5 - 1).astype(np.float32)


def _check(source: Source, basis: Basis, up: str | None, workers: int | None, keep_points: bool) -> Up:
    """Refuse what cannot work; give the up axis to turn from."""
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
    if turn not in TURNS:
        raise unknown_name("up axis", turn, TURNS)
    if len({item.id for item in source.items}) != len(source.items):
        raise UserError("objects of the same name", source.name, "give each file a name of its own")
    return turn


def _fingerprint(source: Source, basis: Basis, up: Up, keep_points: bool) -> Fingerprint:
    """All that the content of the file depends on; the beginning is what a finished file tells of itself too."""
    objects = sha256()
    for item in source.items:
        objects.update(f"{item.id}\0{item.label}\0{item.split}\n".encode())
    for identity, reason in source.missing:
        objects.update(f"{identity}\0{reason}\n".encode())
    told = build_fingerprint(
        basis, source.name, source.digest, source.classes, "none" if source.kind == "images" else up, keep_points
    )
    return {
        **told,
        "objects": f"{len(source.items)}, {objects.hexdigest()[:16]}",
        "times of the files": digest_file_times(source),
        "method": f"{METHOD}, {BATCH} in a batch, {created_by()}",
    }


def _differences(out: Path, wanted: Fingerprint) -> str | None:
    """Where an existing file differs from the wanted one, as far as it tells; None when it is no map file."""
    try:
        found = open_maps(out).fingerprint
    except UserError:
        return None
    return describe_differences(found, {name: value for name, value in wanted.items() if name in found})


def _refuse_existing(out: Path, overwrite: bool, wanted: Fingerprint) -> None:
    if not out.exists() or overwrite:
        return
    other = _differences(out, wanted)
    made = {None: "no map file", "": "made from the same source with the same parameters"}.get(other, other)
    raise UserError("output exists already", f"{out} ({made})", "choose another --out or add --overwrite")


def _nothing_used(source: Source, reason: str) -> UserError:
    total = len(source.items) + len(source.missing)
    return UserError(
        f"not one of {total} objects of {source.name!r} can be used",
        f"for example: {reason}",
        "look at the files, and at --root",
    )


def _fill(
    work: WorkFolder,
    source: Source,
    basis: Basis,
    up: Up,
    keep_points: bool,
    workers: int | None,
    scheduler: str | None,
    progress: Progress | None,
) -> None:
    """Do the batches that are not done yet; put the file together from all of them, as far as they are there."""
    batches = [source.items[start : start + BATCH] for start in range(0, len(source.items), BATCH)]
    finished = {number for number in range(len(batches)) if work.holds(number)}
    left = [(number, batch) for number, batch in enumerate(batches) if number not in finished]
    total = len(source.items) + len(source.missing)
    done = total - sum(len(batch) for _, batch in left)
    workers = _number_of_workers(workers, sum(len(batch) for _, batch in left))
    if left and basis.kind != "pixels" and scheduler is None and workers > 1 and not moments.is_compiled():
        moments.precompile()  # here, where the user is told; the workers load what is compiled
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
                work.write(number, outcomes)
                done += len(outcomes)
                if progress is not None:
                    progress(done, total)
                if number == written:  # its turn: it need not be read again
                    used += _write(writer, batches[written], outcomes)
                    written += 1
                else:
                    finished.add(number)
        if not used:
            reasons = (reason for reason in work.read(0) if isinstance(reason, str))
            work.forget()  # a failure of everything is a mistake to be mended, not work to go on with
            raise _nothing_used(source, next(reasons))


def _number_of_workers(workers: int | None, objects: int) -> int:
    if workers is not None:
        return workers
    if objects < TOO_FEW_FOR_WORKERS:
        return 0
    import joblib  # 0.2 s at import

    return int(joblib.cpu_count())


def _write(writer: MapWriter, items: Sequence[Item], outcomes: Sequence[Outcome]) -> int:
    """Write one batch, in order; give the number of maps in it."""
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
    if good:
        writer.append(
            np.stack(maps),
            [item.id for item in good],
            [item.label for item in good],
            [item.split for item in good],
            np.stack(clouds) if clouds else None,
        )
    return len(good)


# A Dask worker may run several tasks in threads of one process, and `warnings.catch_warnings`, which readers use, is
# not safe there: a batch has the process to itself.
_one_at_a_time = threading.Lock()


def _transform(items: Sequence[Item], basis: Basis, up: Up, keep_points: bool) -> list[Outcome]:
    """The work of a worker: one batch."""
    outcomes: list[Outcome] = []
    with _one_at_a_time:
        if basis.kind != "pixels":
            moments.precompile()  # on another machine nothing may be compiled yet, and one process does it for all
        for item in items:
            try:
                values, cloud = object_to_map(item, basis, up)
                outcomes.append((values, _half(cloud) if keep_points and cloud is not None else None))
            except ObjectError as error:
                outcomes.append(str(error))
            except OSError as error:  # the file went away, or its disk
                outcomes.append(f"cannot be read: {error.strerror or error}")
    return outcomes


def _half(cloud: NDArray[np.float32]) -> NDArray[np.float16]:
    """To float16, rounded towards zero: rounding to nearest would bring points of norm 0.9999 out of the ball."""
    half = cloud.astype(np.float16)
    beyond = np.abs(half.astype(np.float32)) > np.abs(cloud)
    half[beyond] = np.nextafter(half[beyond], np.float16(0))
    return half
