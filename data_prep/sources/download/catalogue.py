"""The raw data that prep may download: address, size and checksum of each file; and the download itself."""

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
    """One file to download.

    Attributes
    ----------
    url : str
        Address of the file; its last part is the file's name.
    checksum : str or None
        Checksum in the format of pooch, ``md5:...``; None if none was published.
    most_bytes : int
        Limit of the file's length, about twice the official size.
    unpacked_bytes : int
        Limit of the content of an archive; 0 for a file that is not unpacked.
    """

    url: str
    checksum: str | None
    most_bytes: int
    unpacked_bytes: int = 0

    @property
    def name(self) -> str:
        """The file's name."""
        return self.url.rpartition("/")[2]


MNIST = "https://ossci-datasets.s3.amazonaws.com/mnist"  # The official site rarely responds; this mirror has its files.
# Data sets whose terms do not allow an automatic download (ShapeNet, CelebA, Cityscapes,
# ModelNet40's clouds) are not listed.
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
    """Download a data set's raw files into a folder and unpack them.

    Existing files are not downloaded again. An interrupted download is resumed.

    Parameters
    ----------
    dataset : str
        A key of ``DOWNLOADS``.
    folder : Path
        Folder of the raw data.
    where : str
        Advice for a data set that cannot be downloaded.
    tell : callable
        Function that is called with lines for the user.
    progress : callable, optional
        Function that is called with the file's name, the number of bytes received and the total
        number of bytes.
    pause : float
        Seconds before a second attempt.

    Raises
    ------
    UserError
        When the data set cannot be downloaded, the server cannot be reached, or a checksum is
        wrong.
    """
    import pooch  # The import takes 0.2 s.

    if dataset not in DOWNLOADS:
        advice = where or "see its help for where to get it"
        raise UserError(f"{dataset!r} cannot be downloaded", "--download", advice)
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
        except ValueError as error:  # pooch raises this for a wrong checksum, after deleting the file.
            raise UserError(
                "a wrong checksum", f"{remote.url} is not {remote.checksum}", "try again later, or get it by hand"
            ) from error
        except OSError as error:
            raise UserError(
                "cannot write", f"{folder} ({error})", "check the disk and the folder's permissions"
            ) from error
        if remote.checksum is None:
            tell(f"no checksum was published for {remote.name}; its SHA-256 is {_compute_digest(path)}")
        if remote.unpacked_bytes:
            unpack(path, folder, remote.unpacked_bytes)
            path.unlink()


def _compute_digest(path: Path) -> str:
    digest = sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
