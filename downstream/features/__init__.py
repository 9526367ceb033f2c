"""Features of a data set: compute, store, convert, reduce, cluster and search them.

The public names stand in ``PUBLIC_NAMES``. Each is imported on its first use.

==================  ========================================================================
``export``          encode all maps of a file with a trained run
``store``           read and write the feature file (HDF5)
``formats``         write features as HDF5, NPZ or Parquet
``standardise``     standardise features with the statistics of the training split
``pca``             principal components of maps and of features
``kmeans_patches``  features of images by k-means on small patches
``geometric``       a data set of torch-geometric
``nearest``         the samples nearest to a query
``clusters``        clusters, and how well they agree with classes
==================  ========================================================================
"""

from typing import TYPE_CHECKING

from spectral_ssl.ground.public_names import import_on_first_use

if TYPE_CHECKING:
    from downstream.features.clusters import cluster_features as cluster_features
    from downstream.features.clusters import compute_neighbour_purity as compute_neighbour_purity
    from downstream.features.clusters import score_clusters as score_clusters
    from downstream.features.export import export_features as export_features
    from downstream.features.export import extract_features as extract_features
    from downstream.features.formats import write_features_as as write_features_as
    from downstream.features.geometric import to_pyg as to_pyg
    from downstream.features.kmeans_patches import PatchConfig as PatchConfig
    from downstream.features.kmeans_patches import PatchFeatures as PatchFeatures
    from downstream.features.kmeans_patches import learn_patch_features as learn_patch_features
    from downstream.features.nearest import find_nearest as find_nearest
    from downstream.features.pca import compute_pca_features as compute_pca_features
    from downstream.features.pca import fit_components as fit_components
    from downstream.features.pca import fit_reduction as fit_reduction
    from downstream.features.pca import reduce_features as reduce_features
    from downstream.features.standardise import fit_scaler as fit_scaler
    from downstream.features.standardise import scale_to_unit_length as scale_to_unit_length
    from downstream.features.standardise import standardise_features as standardise_features
    from downstream.features.store import Features as Features
    from downstream.features.store import read_features as read_features
    from downstream.features.store import write_features as write_features

# public name -> the module that holds it
PUBLIC_NAMES = {
    "Features": "downstream.features.store",
    "PatchConfig": "downstream.features.kmeans_patches",
    "PatchFeatures": "downstream.features.kmeans_patches",
    "cluster_features": "downstream.features.clusters",
    "compute_neighbour_purity": "downstream.features.clusters",
    "compute_pca_features": "downstream.features.pca",
    "export_features": "downstream.features.export",
    "extract_features": "downstream.features.export",
    "find_nearest": "downstream.features.nearest",
    "fit_components": "downstream.features.pca",
    "fit_reduction": "downstream.features.pca",
    "fit_scaler": "downstream.features.standardise",
    "learn_patch_features": "downstream.features.kmeans_patches",
    "read_features": "downstream.features.store",
    "reduce_features": "downstream.features.pca",
    "scale_to_unit_length": "downstream.features.standardise",
    "score_clusters": "downstream.features.clusters",
    "standardise_features": "downstream.features.standardise",
    "write_features": "downstream.features.store",
    "write_features_as": "downstream.features.formats",
    "to_pyg": "downstream.features.geometric",
}

__all__ = [*PUBLIC_NAMES]  # pyright: ignore
__getattr__, __dir__ = import_on_first_use(__name__, PUBLIC_NAMES)
