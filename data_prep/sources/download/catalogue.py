"""Raw data that may be fetched by a program: where it lies, how large it is, what its checksum is."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path

from data_prep.sources.download.resume import ResumingDownloader
from data_prep.sources.download.unpack import unpack
from spectral_ssl.ground.errors import UserError


@dataclass(frozen=True)
class RemoteFile:
    """One file to fetch.

    Attributes
    ----------
    url : str
        Where it lies; the last part is its name.
    checksum : str or None
        As pooch writes it, ``md5:...``; None where none was published.
    most_bytes : int
        Refused when the file is longer: about twice the official size.
    unpacked_bytes : int
        Refused when an archive holds more; 0 for a file that is used as it is.
    """

    url: str
    checksum: str | None
    most_bytes: int
    unpacked_bytes: int = 0

    @property
    def name(self) -> str:
        """The file's name."""
        return self.url.rpartition("/")[2]


MNIST = "https://ossci-datasets.s3.amazonaws.com/mnist"  # the official place answers to few; same files, same checksums
# Data sets under other terms than "fetch and use" (ShapeNet, CelebA, Cityscapes, ModelNet40's clouds) are not here.
DOWNLOADS: dict[str, tuple[RemoteFile, ...]] = {
    "modelnet10": (
        RemoteFile(
            "http://3dvision.princeton.edu/projects/2014/3DShapeNets/ModelNet10.zip",
            None,
            1 << 30,
            unpacked_bytes=8 << 30,
        ),
    ),
    "cifar10": (
        RemoteFile(
            "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",
            "md5:c58f30108f718f92721af3b95e74349a",
            350 << 20,
            unpacked_bytes=400 << 20,
        ),
    ),
    "mnist": (
        RemoteFile(f"{MNIST}/train-images-idx3-ubyte.gz", "md5:f68b3c2dcbeaaa9fbdd348bbdeb89173", 20 << 20),
        RemoteFile(f"{MNIST}/train-labels-idx1-ubyte.gz", "md5:d53e105ee54ea40749a09fcbcd1e9432", 1 << 20),
        RemoteFile(f"{MNIST}/t10k-images-idx3-ubyte.gz", "md5:9fb629c4189551a2d022fa330f9573f3", 4 << 20),
        RemoteFile(f"{MNIST}/t10k-labels-idx1-ubyte.gz", "md5:ec29112dd5afa0611ce80d1b7f02629c", 1 << 20),
    ),
    "facades": (
        RemoteFile(
            "http://efrosgans.eecs.berkeley.edu/pix2pix/datasets/facades.tar.gz",
            None,
            70 << 20,
            unpacked_bytes=150 << 20,
        ),
    ),
}


def download(
    dataset: str,
    folder: Path,
    *,
    where: str = "",
    tell: Callable[[str], None] = print,
    progress: Callable[[str, int, int], None] | None = None,
    pause: float = 1.0,
) -> None:
    """Fetch a data set's raw files into a folder and unpack them.

    Files that are there already are not fetched again; what was fetched halfway goes on where it stopped.

    Parameters
    ----------
    dataset : str
        A key of ``DOWNLOADS``.
    folder : Path
        Where the raw data shall lie.
    where : str
        What to do about a data set that cannot be fetched.
    tell : callable
        Called with lines for the user.
    progress : callable, optional
        Called with the file's name, the bytes that are there and the bytes there will be.
    pause : float
        Seconds before a second attempt.

    Raises
    ------
    UserError
        When the data set is not one to be fetched, the server cannot be reached, or a checksum is wrong.
    """
    import pooch  # 0.2 s at import

    if dataset not in DOWNLOADS:
        raise UserError(f"{dataset!r} is not for downloading", "--download", where or "see where to get it")
    pooch.get_logger().setLevel("ERROR")
    for remote in DOWNLOADS[dataset]:
        tell(f"downloading {remote.url}")
        downloader = ResumingDownloader(
            folder / f"{remote.name}.part",
            remote.most_bytes,
            partial(progress, remote.name) if progress is not None else None,
            pause,
        )
        try:
            path = Path(
                pooch.retrieve(
                    remote.url, known_hash=remote.checksum, fname=remote.name, path=folder, downloader=downloader
                )
            )
        except ValueError as error:  # pooch's word for a wrong checksum; it has deleted the file
            raise UserError(
                "a wrong checksum", f"{remote.url} is not {remote.checksum}", "try again later, or get it by hand"
            ) from error
        except OSError as error:
            raise UserError(
                "cannot write", f"{folder} ({error})", "look at the disk and the folder's rights"
            ) from error
        if remote.checksum is None:
            tell(f"no checksum was published for {remote.name}; its SHA-256 is {_digest(path)}")
        if remote.unpacked_bytes:
            unpack(path, folder, remote.unpacked_bytes)
            path.unlink()


def _digest(path: Path) -> str:
    digest = sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
