"""``export --format onnx`` and ``torch-export``: write the encoder itself, to be run without this toolkit.

The written file takes maps (N, C, H, W) float32 as in a map file, for any N, and returns features
(N, D) float32. It is tested on real maps in batches of several sizes. If its features differ from
the run's by more than 1e-4 of the largest feature, the file is removed.
"""

import json
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from data_prep.maps.reader import MapFile
from pretext.networks.feature_layers import DEFAULT
from pretext.runs.evaluation import select_held_out_rows
from pretext.runs.export_graph import EncoderGraph
from pretext.runs.trained_run import TrainedRun
from spectral_ssl.ground.errors import UserError, unknown_name
from spectral_ssl.ground.files import atomic_path, refuse_existing
from spectral_ssl.ground.progress import say
from spectral_ssl.ground.provenance import created_by
from spectral_ssl.ground.workspace import Workspace
from spectral_ssl.planning.inputs.choose_run import choose_run
from spectral_ssl.planning.inputs.open_data import open_data

EncoderFormat = Literal["onnx", "torch-export"]
ENDINGS: dict[EncoderFormat, str] = {"onnx": ".onnx", "torch-export": ".pt2"}
TOLERANCE = 1e-4  # of the largest feature
CHECKED = 16  # maps
OPSET = 18

Encode = Callable[[NDArray[np.float32]], NDArray[np.float32]]


def export_encoder(
    run: str | Path | TrainedRun | None = None,
    *,
    encoder: str | Path | TrainedRun | None = None,
    format: EncoderFormat = "onnx",  # noqa: A002
    data: str | Path | MapFile | None = None,
    layer: str = DEFAULT,
    out: str | Path | None = None,
    overwrite: bool = False,
    workspace: str | Path | None = None,
) -> Path:
    """Write a run's encoder in a format that other programs can run.

    Parameters
    ----------
    run : path, name or TrainedRun, optional
        The run: its folder, its name in the workspace, or the loaded run; the latest one by
        default.
    encoder : str, path or TrainedRun, optional
        An encoder instead of a run: a name of ``list encoders``, its folder, or ``hf:OWNER/NAME``;
        ``universe-upright`` by default if the workspace has no run.
    format : {"onnx", "torch-export"}
        ONNX (needs the extra ``onnx``), or the format of torch (``torch.export.load`` reads it).
    data : path, name or MapFile, optional
        The maps on which the encoder is checked, see ``export``; those of the run by default.
    layer : str
        The layer of the network, see ``list layers``.
    out : path, optional
        The file to write; ``WS/encoders/RUN[-LAYER].onnx`` or ``.pt2`` by default.
    overwrite : bool
        Whether to replace an existing file.
    workspace : path, optional
        The workspace folder, see ``Workspace.find``.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    UserError
        When the run is missing, its encoder cannot be exported, the library is not installed, or
        the written encoder does not reproduce the run's features.

    Examples
    --------
    >>> import spectral_ssl
    >>> spectral_ssl.export_encoder(run, out=folder / "encoder.onnx").name
    'encoder.onnx'
    """
    if format not in ENDINGS:
        raise unknown_name("format of an encoder", format, ENDINGS)
    home = Workspace.find(workspace)
    trained = choose_run(run, encoder, home)
    trained = trained.at_layer(layer) if layer != DEFAULT else trained
    stem = trained.folder.resolve().name + ("" if trained.layer == DEFAULT else f"-{trained.layer}")
    target = Path(out) if out else home.root / "encoders" / f"{stem}{ENDINGS[format]}"
    refuse_existing(target, overwrite)
    if format == "onnx":
        _require_onnx()
    maps = open_data(data, trained, home)
    rows = select_held_out_rows(maps, CHECKED)
    examples = maps.read(rows)
    with atomic_path(target, overwrite=overwrite) as temporary:
        write = _write_onnx if format == "onnx" else _write_torch
        try:
            with _silence(), torch.no_grad():
                encode = write(_program(trained, examples), temporary, _about(trained, maps))
        except (UserError, OSError):
            raise
        except Exception as error:  # torch raises errors of many types if it cannot trace or export a network
            lines = [line.strip() for line in str(error).splitlines() if "Error: " in line or "rror'>: " in line]
            reason = (lines or str(error).strip().splitlines() or [type(error).__name__])[0][:160]
            got = f"method {trained.plan.method!r} at layer {trained.layer!r} ({reason})"
            what_to_do = "take the other --format, or export its features: --format npz"
            raise UserError(f"an encoder that cannot be exported to {format}", got, what_to_do) from error
        difference = _largest_difference(encode, trained, examples)
        if not difference <= TOLERANCE:
            got = f"features that differ by {difference:.1e} of the largest"
            raise UserError(f"the {format} file does not reproduce the run's features", got, "take the other --format")
    bound = f"{max(difference, 1e-9):.0e} of the largest"
    say(f"checked on {len(rows)} maps: features differ from the run's by at most {bound}")
    return target


def _program(run: TrainedRun, examples: NDArray[np.float32]) -> torch.export.ExportedProgram:
    """Trace the encoder for any number of maps."""
    example = torch.from_numpy(examples[:2])  # two maps: torch would take the number 1 for a constant
    if len(example) < 2:
        example = example.repeat(2, 1, 1, 1)
    return torch.export.export(EncoderGraph(run), (example,), dynamic_shapes=({0: torch.export.Dim("maps", min=1)},))


def _write_onnx(program: torch.export.ExportedProgram, path: Path, about: dict[str, str]) -> Encode:
    """Write an ONNX file; return a function that runs it."""
    import onnx
    import onnxruntime

    aten = torch.ops.aten
    replacements = {  # ONNX has no operator for these
        aten.adaptive_avg_pool2d.default: average_adaptively,
        aten.adaptive_avg_pool3d.default: average_adaptively,
        aten.hypot.default: lambda first, second: (first.square() + second.square()).sqrt(),
    }
    written = torch.onnx.export(
        program.run_decompositions(replacements),
        input_names=["maps"],
        output_names=["features"],
        opset_version=OPSET,
        dynamo=True,
        external_data=False,
        verbose=False,
    )
    assert written is not None  # without a file name the result is the model
    model = written.model_proto
    onnx.helper.set_model_props(model, about)
    path.write_bytes(model.SerializeToString())
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(path.read_bytes(), options, providers=["CPUExecutionProvider"])
    return lambda maps: np.asarray(session.run(["features"], {"maps": maps})[0])


def _write_torch(program: torch.export.ExportedProgram, path: Path, about: dict[str, str]) -> Encode:
    """Write a file of torch.export; return a function that runs it."""
    with path.open("wb") as stream:
        torch.export.save(program, stream, extra_files={"about.json": json.dumps(about)})
    with path.open("rb") as written:
        loaded = torch.export.load(written).module()

    def encode(maps: NDArray[np.float32]) -> NDArray[np.float32]:
        with torch.no_grad():
            return np.asarray(loaded(torch.from_numpy(maps)).numpy())

    return encode


def average_adaptively(activation: torch.Tensor, sides: list[int]) -> torch.Tensor:
    """Compute adaptive average pooling with operators that ONNX has: means over slices.

    Parameters
    ----------
    activation : Tensor, shape (B, F, ...)
        The activation, of any extent.
    sides : list of int
        The number of parts along each of the last axes.

    Returns
    -------
    Tensor, shape (B, F, *sides)
        The same as ``torch.nn.functional.adaptive_avg_pool2d`` and ``3d``: part i of p along n
        values is the mean of floor(i n / p) .. ceil((i + 1) n / p) - 1.
    """
    for axis, parts in enumerate(sides, start=activation.dim() - len(sides)):
        count = activation.shape[axis]
        slices = [(part * count // parts, -(-(part + 1) * count // parts)) for part in range(parts)]
        means = [activation.narrow(axis, first, last - first).mean(dim=axis, keepdim=True) for first, last in slices]
        activation = torch.cat(means, dim=axis)
    return activation


def _largest_difference(encode: Encode, run: TrainedRun, examples: NDArray[np.float32]) -> float:
    """Measure the largest difference from the run's features, relative to the largest, in batches of 1, 3 and all."""
    expected = run.encode(examples)
    worst = 0.0
    for count in sorted({1, min(3, len(examples)), len(examples)}):
        features = encode(examples[:count])
        if features.shape != expected[:count].shape:
            return float("inf")
        worst = max(worst, float(np.abs(features - expected[:count]).max()))
    return worst / max(float(np.abs(expected).max()), 1e-12)


def _about(run: TrainedRun, maps: MapFile) -> dict[str, str]:
    """Return what the file tells about its origin."""
    return {
        "created_by": created_by(),
        "basis": run.basis.to_json(),
        "input": "maps (N, C, H, W) float32 as in a map file, not standardised",
        "layer": run.layer,
        "checkpoint_digest": run.checkpoint_digest,
        "config": run.plan.to_toml(),
        "checked_on": maps.digest,
    }


def _require_onnx() -> None:
    """Raise a UserError unless the packages for ONNX are installed."""
    try:
        import onnx  # noqa: F401
        import onnxruntime  # noqa: F401
        import onnxscript  # noqa: F401
    except ImportError as error:
        what_to_do = "pip install 'spectral-ssl[onnx]', or take --format torch-export"
        raise UserError("ONNX needs onnx, onnxscript and onnxruntime", "not installed", what_to_do) from error


@contextmanager
def _silence() -> Iterator[None]:
    """Silence the notices of torch's exporter, which tell users nothing."""
    loggers: list[Any] = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "onnxscript")]
    before = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, before, strict=True):
            logger.setLevel(level)
