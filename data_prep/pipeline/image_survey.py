"""Survey of a source of images: the basis that fits all of them, and what the user must know about them.

The headers of all files are read, not their pixels. So a colour image among grey ones is found
wherever it is, and images of several sizes get one size by a rule that depends on all of them.
"""

from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from statistics import median_low

from data_prep.basis import Basis, pixel_basis
from data_prep.readers.image import LARGEST, SMALLEST, ImageLoader
from data_prep.readers.images.rules import ImageRules
from data_prep.source import ArrayRow, Item, Shape, Source, advise_on_files
from spectral_ssl.ground.errors import TOO_LARGE, ObjectError, UserError
from spectral_ssl.ground.progress import progress

FIRST_IMAGES = 32  # Number of images to load from a source whose loaders have no headers.
# If one size is that of this share of the images, the others are scaled to it.
SHARE_OF_ONE_SIZE = 0.9
LARGEST_CHOICE = 64  # Pixels on a side of the square that is chosen for images of several sizes.
MANY_HEADERS = 20_000  # Reading so many headers takes about 2 s, and a line tells it.
DEEP_LOOKED_AT = 8  # Number of images with more than 8 bits that are loaded to see whether they are dark.
DARK = 64  # Deep images whose highest level is below this one use less than a quarter of the scale.


@dataclass(frozen=True)
class ImageSurvey:
    """The result of a survey.

    Attributes
    ----------
    basis : Basis
        The basis of the maps.
    remarks : tuple of str
        Lines for the user, such as the number of sizes and the chosen one.
    """

    basis: Basis
    remarks: tuple[str, ...]


def find_image_basis(source: Source, rules: ImageRules | None = None) -> Basis:
    """Find the basis of a source of images; see ``survey_images``.

    Raises
    ------
    UserError
        As ``survey_images``.
    """
    return survey_images(source, rules).basis


def survey_images(source: Source, rules: ImageRules | None = None) -> ImageSurvey:
    """Choose the basis of a source of images by the headers of all of them.

    * The basis is in colour if any image is.
    * Images of one size keep it.
    * If at least nine of ten images have one size of at most 512 pixels, that size is chosen.
    * Otherwise a square is chosen. Its side is the median of the shorter sides, at most 64 pixels.

    ``prepare_maps`` scales images of other sizes: the shorter side is scaled to the chosen size,
    and the centre is cut out.

    Parameters
    ----------
    source : Source
        A source of images. Files are surveyed by their headers, arrays by their shape. Of other
        loaders the first 32 usable images count.
    rules : ImageRules, optional
        The ground and the full scale of the maps.

    Returns
    -------
    ImageSurvey

    Raises
    ------
    UserError
        When no image is readable, all have one size that is too large, or the source holds shapes.

    Examples
    --------
    >>> from data_prep import open_source
    >>> from data_prep.pipeline.image_survey import survey_images
    >>> survey_images(open_source("digits")).basis.shape
    (1, 8, 8)
    """
    if source.kind != "images":
        raise UserError("a source of shapes", source.name, "give a basis of shapes")
    rules = rules or ImageRules()
    seen = _read_headers(source)
    if not seen.shapes:
        raise UserError(f"no readable image in {source.name!r}", seen.reason, advise_on_files(source))
    channels = max(shape[0] for shape in seen.shapes)
    height, width = _choose_size(seen)
    if max(height, width) > LARGEST:
        raise UserError("images too large", f"{width}x{height} pixels", f"give --size, at most {LARGEST}")
    basis = pixel_basis(channels, height, width, paired=source.paired, ground=rules.ground, full_scale=rules.full_scale)
    return ImageSurvey(basis, tuple(_describe(seen, basis, rules)))


@dataclass
class _Seen:
    """What the headers of a source say: the number of images of each shape, and the deep ones."""

    shapes: Counter[tuple[int, int, int]] = field(default_factory=Counter)
    deep: list[ImageLoader] = field(default_factory=list)
    reason: str = "no images"  # Why an image is unusable.

    @property
    def sizes(self) -> Counter[tuple[int, int]]:
        """The number of images of each (height, width)."""
        sizes: Counter[tuple[int, int]] = Counter()
        for (_, height, width), count in self.shapes.items():
            sizes[height, width] += count
        return sizes


def _read_headers(source: Source) -> _Seen:
    """Read the headers of all files of a source, the shapes of its arrays, and the first of its other images."""
    seen = _Seen()
    arrays: dict[object, tuple[int, int, int]] = {}
    others = 0
    with closing(_tell_progress(source.items)) as items:
        for item in items:
            try:
                if isinstance(item.load, ImageLoader):
                    header = item.load.read_header()
                    seen.shapes[header.shape] += 1
                    if header.is_deep:
                        seen.deep.append(item.load)
                elif isinstance(item.load, ArrayRow):
                    key = item.load.read, item.load.finish
                    if key not in arrays:
                        arrays[key] = _load_shape(item)
                    seen.shapes[arrays[key]] += 1
                elif others < FIRST_IMAGES:
                    seen.shapes[_load_shape(item)] += 1
                    others += 1
            except ObjectError as error:
                seen.reason = str(error)
            except OSError as error:  # The file or its disk has disappeared.
                seen.reason = f"cannot be read: {error.strerror or error}"
            except MemoryError:
                seen.reason = TOO_LARGE
    return seen


def _tell_progress(items: Sequence[Item]) -> Generator[Item]:
    """Yield the items, with a progress line if their headers take long to read."""
    files = sum(isinstance(item.load, ImageLoader) and item.load.shape is None for item in items)
    if files < MANY_HEADERS:
        yield from items
        return
    with progress("headers of images", len(items)) as advance:
        for item in items:
            yield item
            advance()


def _load_shape(item: Item) -> tuple[int, int, int]:
    loaded = item.load()
    if isinstance(loaded, Shape):
        raise UserError("a shape in a source of images", item.id, "give a basis of shapes")
    channels, height, width = loaded.shape
    return channels, height, width


def _choose_size(seen: _Seen) -> tuple[int, int]:
    """Choose the (height, width) of the maps by the rule of ``survey_images``."""
    sizes = seen.sizes
    size, count = sizes.most_common(1)[0]
    if len(sizes) == 1 or (count >= SHARE_OF_ONE_SIZE * sizes.total() and max(size) <= LARGEST):
        return size
    side = min(LARGEST_CHOICE, median_low(min(size) for size in sizes.elements()))
    side = max(SMALLEST, side)
    return side, side


def _describe(seen: _Seen, basis: Basis, rules: ImageRules) -> Iterator[str]:
    """Describe what is done to the images of a source, one line each."""
    total = seen.shapes.total()
    sizes = seen.sizes
    height, width = basis.shape[1:]
    other = total - sizes[height, width]
    if len(sizes) > 1:
        yield (
            f"images of {len(sizes)} sizes: {other} of {total} are scaled and cropped to {width}x{height} pixels (the "
            f"shorter side is scaled, the centre is cut out); --size chooses another size"
        )
    grey = sum(count for shape, count in seen.shapes.items() if shape[0] < basis.shape[0])
    if grey:
        what = "1 grey image" if grey == 1 else f"{grey} grey images"
        yield f"{what} among {total - grey} in colour: {'its' if grey == 1 else 'their'} channel is repeated"
    if seen.deep:
        what = "1 grey image" if len(seen.deep) == 1 else f"{len(seen.deep)} grey images"
        usual = "65535 becomes white (12 bits: 4095, floats: 1); --full-scale overrules"
        white = usual if rules.full_scale is None else f"{rules.full_scale:g} becomes white"
        yield f"{what} with more than 8 bits: {white}"
        yield from _describe_dark(seen.deep, rules)


def _describe_dark(deep: Sequence[ImageLoader], rules: ImageRules) -> Iterator[str]:
    """Describe the brightness of images with more than 8 bits if they use a small part of the scale."""
    highest = 0
    looked_at = 0
    for load in deep[:DEEP_LOOKED_AT]:
        try:
            highest = max(highest, int(load(rules).max()))
            looked_at += 1
        except (ObjectError, OSError):  # It will be a failed object.
            continue
    if looked_at and highest < DARK:
        yield (
            f"they are dark: the brightest of the first {looked_at} reaches {highest / 255:.1%} of white; "
            "--full-scale sets the value that becomes white"
        )
