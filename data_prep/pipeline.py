"""From a source to a map file: load, sample, turn, transform, fold; in several processes, with one writer.

Every object's result depends on the object, the basis and nothing else: the sampling is seeded by the basis' seed and
the object's id. So the file is bit for bit the same for any number of worker processes, and on every run.
"""

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from hashlib import sha256
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from data_prep import moments
from data_prep.basis import Basis, pixel_basis
from data_prep.map_store import MapFile, MapWriter, open_maps
from data_prep.shape_maps import refuse_unfit, shape_to_map
from data_prep.sources.item import Item, Shape, Source, Up
from data_prep.unit_ball import TURNS
from spectral_ssl import __version__
from spectral_ssl.ground.errors import ObjectError, UserError, unknown_name
from spectral_ssl.ground.files import atomic_path, refuse_existing

BATCH = 32  # objects handed to a worker at once, and written at once
# Below this many objects worker processes take longer to start than they save.
TOO_FEW_FOR_WORKERS = 256
FIRST_IMAGES = 32  # looked at to see whether a set is grey or in colour
LARGEST_IMAGE = 512  # pixels on a side: maps are float32 and one sample of a batch

# What a worker sends back for one object: its map and the cloud it was made from (if wanted), or why there is none.
Outcome = tuple[NDArray[np.float32], NDArray[np.float16] | None] | str
# Called with the number of objects done and the number of all objects.
Progress = Callable[[int, int], None]


def prepare(
    source: Source,
    basis: Basis,
    out: Path,
    *,
    workers: int | None = None,
    up: str | None = None,
    overwrite: bool = False,
    keep_points: bool = False,
    progress: Progress | None = None,
) -> MapFile:
    """Turn all objects of a source into maps and write them to one file.

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

    Returns
    -------
    MapFile
        The file written, opened; ``len`` of it is the number of maps, ``failures`` the objects that could not be used.

    Raises
    ------
    UserError
        When the file exists and may not be replaced, the basis does not fit the source, no object could be used, or the
        source's files turn out to be damaged.
    """
    refuse_existing(out, overwrite)
    if not source.items:
        raise _nothing_used(source, source.missing[0][1] if source.missing else "the source is empty")
    turn = _check(source, basis, up, workers, keep_points)
    total = len(source.items) + len(source.missing)
    with atomic_path(out, overwrite=overwrite) as temporary:
        with MapWriter(
            temporary,
            basis,
            source=source.name,
            source_digest=source.digest,
            classes=source.classes,
            count=len(source.items),
            created_by=f"spectral-ssl {__version__}",
            keep_points=basis.points if keep_points else 0,
        ) as writer:
            done = len(source.missing)
            for identity, reason in source.missing:
                writer.fail(identity, reason)
            used, first_reason = 0, ""
            batches = [source.items[start : start + BATCH] for start in range(0, len(source.items), BATCH)]
            with closing(_transformed(batches, basis, turn, keep_points, workers)) as transformed:
                for items, outcomes in zip(batches, transformed, strict=True):
                    used += _write(writer, items, outcomes)
                    first_reason = first_reason or next((given for given in outcomes if isinstance(given, str)), "")
                    done += len(items)
                    if progress is not None:
                        progress(done, total)
            if not used:
                raise _nothing_used(source, first_reason)
        with h5py.File(temporary, "r+") as file:
            file.attrs["source_up"] = turn if source.kind == "shapes" else "none"
    return open_maps(out)


def image_basis(source: Source) -> Basis:
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
    return shape_to_map(loaded, basis, up, object_generator(basis.seed, item.id))


def object_generator(seed: int, identity: str) -> np.random.Generator:
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
    refuse_unfit(basis, keep_points)
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


def _nothing_used(source: Source, reason: str) -> UserError:
    total = len(source.items) + len(source.missing)
    return UserError(
        f"not one of {total} objects of {source.name!r} can be used",
        f"for example: {reason}",
        "look at the files, and at --root",
    )


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


def _transformed(
    batches: Sequence[Sequence[Item]], basis: Basis, up: Up, keep_points: bool, workers: int | None
) -> Generator[list[Outcome], None, None]:
    """The outcomes of each batch, in order, computed ahead by worker processes but never by more than a few batches."""
    import joblib  # 0.2 s at import

    if workers is None:
        workers = joblib.cpu_count() if sum(map(len, batches)) >= TOO_FEW_FOR_WORKERS else 0
    if basis.kind != "pixels":
        moments.precompile()  # before the workers start, so that they load what is compiled already
    if workers <= 1:
        for batch in batches:
            yield _transform(batch, basis, up, keep_points)
        return
    # processes, each with one native thread: more would only fight for the same cores
    with joblib.parallel_config(backend="loky", inner_max_num_threads=1):
        parallel = joblib.Parallel(n_jobs=workers, return_as="generator", pre_dispatch="2*n_jobs", batch_size=1)
        outcomes = parallel(joblib.delayed(_transform)(batch, basis, up, keep_points) for batch in batches)
        with closing(outcomes):
            yield from outcomes


def _transform(items: Sequence[Item], basis: Basis, up: Up, keep_points: bool) -> list[Outcome]:
    """The work of a worker: one batch."""
    outcomes: list[Outcome] = []
    for item in items:
        try:
            values, cloud = object_to_map(item, basis, up)
            outcomes.append((values, _half(cloud) if keep_points and cloud is not None else None))
        except ObjectError as error:
            outcomes.append(str(error))
    return outcomes


def _half(cloud: NDArray[np.float32]) -> NDArray[np.float16]:
    """To float16, rounded towards zero: rounding to nearest would bring points of norm 0.9999 out of the ball."""
    half = cloud.astype(np.float16)
    beyond = np.abs(half.astype(np.float32)) > np.abs(cloud)
    half[beyond] = np.nextafter(half[beyond], np.float16(0))
    return half
