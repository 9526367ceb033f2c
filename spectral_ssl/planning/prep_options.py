"""The options of ``prep``, for the function, the command line, the dry run and the recipes."""

# ruff: noqa: RUF009 - `option` makes a field with a default, as `dataclasses.field` does

from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import get_args

from data_prep.basis import Centre, Sampling
from spectral_ssl.ground.config import within
from spectral_ssl.planning.options import check_options, option, workspace_option

BASES = ("zernike", "sh")
SPHERES = ("shells", "radial")


@dataclass(frozen=True)
class PrepOptions:
    """The options of ``prep``; the texts of the fields describe them."""

    dataset: str = option(
        "shapes",
        "A name of `list datasets`, or folder:PATH.",
        "The name of a data set, see ``spectral-ssl list datasets``; ``folder:PATH`` or ``pairs:PATH`` for your own "
        "files; ``celeba:ATTRIBUTE`` for a choice of classes.",
        completes="datasets",
    )
    _: KW_ONLY
    root: str | Path | None = option(
        None,
        "Folder of the raw data [WS/raw/DATASET].",
        "The folder of the raw data; ``WS/raw/DATASET`` by default.",
        reads=Path,
    )
    download: bool = option(
        False,
        "Fetch the raw data if it is missing (sets that may be fetched).",
        "Whether to fetch missing raw data, for sets that may be fetched (modelnet10, cifar10, mnist, facades).",
    )
    out: str | Path | None = option(
        None,
        "Map file to write [WS/maps/DATASET-BASIS.h5].",
        "The map file to write; ``WS/maps/DATASET[-SIDE][-SIZE]-BASIS.h5`` by default.",
        reads=Path,
    )
    basis: str = option(
        "zernike",
        "zernike or sh (spherical harmonics in shells).",
        "3D Zernike moments or spherical harmonics in shells. Images stay pixels.",
        names=BASES,
        in_recipe=True,
    )
    degree: int | None = option(
        None,
        "Highest degree [zernike 20, sh 15, radial 63].",
        "The highest degree: by default 20 for Zernike moments, 15 for spherical harmonics in shells, 63 for spherical "
        "harmonics of the distance.",
        in_recipe=True,
    )
    radial: int | None = option(
        None,
        "Radial channels: rectangular truncation of zernike; shells of sh [8].",
        "The number of radial channels. Zernike moments get the rectangular truncation if it is given; spherical "
        "harmonics have so many shells, 8 by default.",
    )
    sphere: str = option(
        "shells",
        "For sh: points in shells, or radial (rays; needs embreex).",
        "What spherical harmonics describe: the points in radial shells, or the distance of the surface of a mesh from "
        "its centre along rays (needs embreex).",
        names=SPHERES,
    )
    points: int = option(
        2048,
        "Points sampled from each object.",
        "The number of points sampled from each object.",
        limits=within(4, 1_000_000),
    )
    up: str | None = option(
        None,
        "Up axis of the raw data, e.g. +y [the data set's own].",
        'The up axis of the raw data, e.g. "+y"; the one that the data set states by default.',
    )
    size: int | None = option(
        None,
        "Pixels on a side of images: middle square, scaled [unchanged].",
        "The side in pixels to which the middle square of every image is scaled; images keep their size by default.",
        in_recipe=True,
    )
    side: str | None = option(
        None,
        "Of paired images only the left (A) or the right (B) one.",
        "Take only the left (A) or the right (B) image of each pair, as a data set of single images.",
        kind='{"A", "B"}, optional',
        in_recipe=True,
    )
    sampling: str | None = option(
        None,
        "Points of a mesh: area, farthest, quadrature, solid [area].",
        "How meshes become points: stratified by area (the default), farthest points, or exact quadrature of the "
        "surface or of the solid inside a closed mesh. The quadratures are for Zernike moments only. Point clouds are "
        "not sampled.",
        names=get_args(Sampling),
    )
    centre: str = option(
        "mean",
        "The origin: mean of the points, or area (centroid of a mesh).",
        "What lies at the origin: the mean of the points, or the exact centroid of the surface of a mesh.",
        names=get_args(Centre),
    )
    reach: float = option(
        1.0,
        "Share of the points inside the unit ball, e.g. 0.999.",
        "The share of the points that the unit ball holds. Points beyond are moved to its surface.",
        limits=within(0.5, 1),
    )
    keep_points: bool | None = option(
        None,
        "Store the point clouds with the maps [where points are sampled].",
        "Whether to store the sampled point clouds with the maps, 6 bytes a point; by default wherever points are "
        "sampled. Tasks that alter points need them (views, complete-shape).",
        in_recipe=True,
    )
    workers: int | None = option(
        None,
        "Processes, 0 for none [all cores].",
        "The number of worker processes; all cores by default (none for small sets), 0 for none. The file does not "
        "depend on it.",
    )
    scheduler: str | None = option(
        None,
        "Dask scheduler whose workers do the work, e.g. tcp://10.0.0.1:8786.",
        'The address of a Dask scheduler, e.g. "tcp://10.0.0.1:8786", whose workers do the work. They must have the '
        "raw data under the same paths. The file does not depend on it.",
    )
    seed: int = option(0, "Seed of the sampling of points.", "The seed of the sampling of points.")
    overwrite: bool = option(
        False,
        "Replace an existing file.",
        "Whether to replace an existing file, or unfinished work on one with other parameters.",
    )
    workspace: str | Path | None = workspace_option()

    def __post_init__(self) -> None:
        check_options(self)
