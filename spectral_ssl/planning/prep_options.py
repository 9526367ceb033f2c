"""The options of ``prep``, for the function, the command line, the dry run and the recipes."""

# ruff: noqa: RUF009 - `option` makes a field with a default, as `dataclasses.field` does

from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import get_args

from data_prep.basis import Centre, Ground, Sampling
from spectral_ssl.ground.config import within
from spectral_ssl.planning.options import check_options, option, workspace_option

BASES = ("zernike", "sh")
SPHERES = ("shells", "radial")


@dataclass(frozen=True)
class PrepOptions:
    """The options of ``prep``; the texts of the fields describe them."""

    dataset: str = option(
        "shapes",
        "A name of `list datasets`, or the path of a folder.",
        "The name of a data set, see ``spectral-ssl list datasets``; the path of a folder, ``folder:PATH`` or "
        "``pairs:PATH`` for your own files; ``celeba:ATTRIBUTE`` for a choice of classes.",
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
        "The map file to write; ``WS/maps/DATASET[-SIDE][-SIZE]-BASIS.h5`` by default. The name also holds every other "
        "option that changes the maps, as in ``shapes-zernike-degree8.h5``.",
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
        "Up axis of the raw data, e.g. +y, or by-format [the data set's own].",
        'The up axis of the raw data, e.g. "+y"; the one that the data set states by default. "by-format" takes the '
        "axis that the format of each file specifies: +y for .glb and .gltf, +z for all others.",
    )
    split: str | None = option(
        None,
        "Split folders of your folder: auto, none, a level, or NAME=train,... [auto].",
        "Which folders of a folder of your own are splits. By default they are found by their names. "
        '"none": no folder is a split. A number: the level of the split folders, counted from 1 below the folder. '
        '"extra=train,check=val": these names mean splits too.',
        in_recipe=True,
    )
    class_level: int | None = option(
        None,
        "Level of the class folders of your folder, 1 for the first; 0: no classes.",
        "The level of the class folders of a folder of your own, counted from 1 below the folder; 0 for no classes. By "
        "default it is the first level after wrappers and splits.",
        limits=within(0, 100),
        in_recipe=True,
    )
    count: int | None = option(
        None,
        "Number of shapes of the universe [2048].",
        "The number of shapes of the data set ``universe``: its first shapes, 2048 by default.",
        limits=within(1, 10_000_000),
        in_recipe=True,
    )
    size: int | None = option(
        None,
        "Pixels on a side of images: middle square, scaled [their own size].",
        "The side in pixels to which the middle square of every image is scaled. By default images of one size keep "
        "it. Images of several sizes are scaled to the size that nine of ten have. If there is none, they are scaled "
        "to a square whose side is the median of their shorter sides, at most 64 pixels.",
        in_recipe=True,
    )
    ground: str = option(
        "white",
        "Colour behind transparent parts of images: white, grey, black.",
        "The colour behind the transparent parts of images.",
        names=get_args(Ground),
        in_recipe=True,
    )
    full_scale: float | None = option(
        None,
        "Value of images with over 8 bits that becomes white [16-bit 65535, floats 1].",
        "The value of grey images with more than 8 bits that becomes white: by default 65535 for 16 bits, 4095 for 12 "
        "bits and 1 for floats. Images of 32-bit integers need it.",
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
        "sampled. Tasks that alter points need them (views, complete-shape, mask-shape).",
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
