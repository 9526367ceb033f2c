"""Preparation of data: from raw files to map files of spectral coefficients or images.

The public names stand in ``PUBLIC_NAMES``. Each is imported on its first use, so that a part of the
package does not load the libraries of the others. Nothing here needs torch.

Imports go one way. ``pipeline`` stands on ``sources``, ``maps`` and ``transforms``; these on
``readers`` and ``geometry``; all of them on ``layout``, ``basis``, ``source`` and ``compiling``.
"""

from typing import TYPE_CHECKING

from spectral_ssl.ground.public_names import import_on_first_use

if TYPE_CHECKING:
    from data_prep.basis import Basis as Basis
    from data_prep.basis import harmonics_basis as harmonics_basis
    from data_prep.basis import pixel_basis as pixel_basis
    from data_prep.basis import radial_basis as radial_basis
    from data_prep.basis import zernike_basis as zernike_basis
    from data_prep.geometry.surface_sampling import sample_points as sample_points
    from data_prep.geometry.unit_ball import move_to_unit_ball as move_to_unit_ball
    from data_prep.layout import find_degrees as find_degrees
    from data_prep.layout import find_valid_cells as find_valid_cells
    from data_prep.layout import fold as fold
    from data_prep.layout import list_indices as list_indices
    from data_prep.layout import unfold as unfold
    from data_prep.maps.reader import MapFile as MapFile
    from data_prep.pipeline.prepare import prepare_maps as prepare_maps
    from data_prep.pipeline.shape_to_map import shape_to_map as shape_to_map
    from data_prep.pipeline.single_file import file_to_map as file_to_map
    from data_prep.readers.image import read_image as read_image
    from data_prep.readers.shape import read_shape as read_shape
    from data_prep.source import Item as Item
    from data_prep.source import Shape as Shape
    from data_prep.source import Source as Source
    from data_prep.transforms.invariants import degree_norms as degree_norms
    from data_prep.transforms.invariants import ring_norms as ring_norms
    from data_prep.transforms.inverse import build_density_mesh as build_density_mesh
    from data_prep.transforms.inverse import build_star_mesh as build_star_mesh
    from data_prep.transforms.inverse import density as density
    from data_prep.transforms.inverse import density_grid as density_grid
    from data_prep.transforms.inverse import list_cell_centres as list_cell_centres
    from data_prep.transforms.inverse import radii as radii
    from data_prep.transforms.inverse import reconstruct as reconstruct
    from data_prep.transforms.principal_frame import find_principal_axes as find_principal_axes
    from data_prep.transforms.principal_frame import turn_to_principal_frame as turn_to_principal_frame
    from data_prep.transforms.principal_frame import turn_to_upright_frame as turn_to_upright_frame
    from data_prep.transforms.radial_harmonics import compute_radial_map as compute_radial_map
    from data_prep.transforms.rotation import mirror as mirror
    from data_prep.transforms.rotation import rotate as rotate
    from data_prep.transforms.rotation import rotate_about_vertical as rotate_about_vertical
    from data_prep.transforms.shell_harmonics import shell_moments as shell_moments
    from data_prep.transforms.shell_harmonics import spherical_harmonics as spherical_harmonics
    from data_prep.transforms.zernike import zernike_functions as zernike_functions
    from data_prep.transforms.zernike import zernike_moments as zernike_moments

# public name -> the module that holds it
PUBLIC_NAMES = {
    "Basis": "data_prep.basis",
    "Item": "data_prep.source",
    "MapFile": "data_prep.maps.reader",
    "Shape": "data_prep.source",
    "Source": "data_prep.source",
    "build_density_mesh": "data_prep.transforms.inverse",
    "build_star_mesh": "data_prep.transforms.inverse",
    "compute_radial_map": "data_prep.transforms.radial_harmonics",
    "degree_norms": "data_prep.transforms.invariants",
    "density": "data_prep.transforms.inverse",
    "density_grid": "data_prep.transforms.inverse",
    "file_to_map": "data_prep.pipeline.single_file",
    "find_degrees": "data_prep.layout",
    "find_principal_axes": "data_prep.transforms.principal_frame",
    "find_valid_cells": "data_prep.layout",
    "fold": "data_prep.layout",
    "harmonics_basis": "data_prep.basis",
    "list_cell_centres": "data_prep.transforms.inverse",
    "list_indices": "data_prep.layout",
    "mirror": "data_prep.transforms.rotation",
    "move_to_unit_ball": "data_prep.geometry.unit_ball",
    "pixel_basis": "data_prep.basis",
    "prepare_maps": "data_prep.pipeline.prepare",
    "radial_basis": "data_prep.basis",
    "radii": "data_prep.transforms.inverse",
    "read_image": "data_prep.readers.image",
    "read_shape": "data_prep.readers.shape",
    "reconstruct": "data_prep.transforms.inverse",
    "ring_norms": "data_prep.transforms.invariants",
    "rotate": "data_prep.transforms.rotation",
    "rotate_about_vertical": "data_prep.transforms.rotation",
    "sample_points": "data_prep.geometry.surface_sampling",
    "shape_to_map": "data_prep.pipeline.shape_to_map",
    "shell_moments": "data_prep.transforms.shell_harmonics",
    "spherical_harmonics": "data_prep.transforms.shell_harmonics",
    "turn_to_principal_frame": "data_prep.transforms.principal_frame",
    "turn_to_upright_frame": "data_prep.transforms.principal_frame",
    "unfold": "data_prep.layout",
    "zernike_basis": "data_prep.basis",
    "zernike_functions": "data_prep.transforms.zernike",
    "zernike_moments": "data_prep.transforms.zernike",
}

__all__ = [*PUBLIC_NAMES]  # pyright: ignore
__getattr__, __dir__ = import_on_first_use(__name__, PUBLIC_NAMES)
