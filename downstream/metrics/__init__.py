"""Metrics of predictions, generated images, reconstructed maps and features.

The public names stand in ``PUBLIC_NAMES``. Each is imported on its first use.

=====================  ==========================================================================
``chamfer``            Chamfer distance of two point clouds
``class_score``        a classifier of samples, and the scores that depend on it
``diversity``          how different the predictions for one condition are
``error_by_degree``    error of reconstructed spectral maps by angular degree
``frechet``            Fréchet distance of two sets of images
``lpips``              perceptual distances of images (LPIPS, ST-LPIPS)
``modes``              where predictions lie among known modes
``prediction_scores``  the scores of the command ``evaluate``
``psnr_ssim``          PSNR and SSIM of images
``retrieval``          retrieval of objects by reconstructions, of classes by features
=====================  ==========================================================================
"""

from typing import TYPE_CHECKING

from spectral_ssl.ground.public_names import import_on_first_use

if TYPE_CHECKING:
    from downstream.metrics.chamfer import chamfer_distance as chamfer_distance
    from downstream.metrics.class_score import SampleClassifier as SampleClassifier
    from downstream.metrics.class_score import add_label_noise as add_label_noise
    from downstream.metrics.class_score import compute_class_score as compute_class_score
    from downstream.metrics.class_score import match_classes as match_classes
    from downstream.metrics.class_score import match_classes_by_neighbour as match_classes_by_neighbour
    from downstream.metrics.class_score import train_classifier as train_classifier
    from downstream.metrics.diversity import make_perceptual_distance as make_perceptual_distance
    from downstream.metrics.diversity import make_rms_distance as make_rms_distance
    from downstream.metrics.diversity import prediction_diversity as prediction_diversity
    from downstream.metrics.error_by_degree import DegreeErrors as DegreeErrors
    from downstream.metrics.error_by_degree import compute_degree_errors as compute_degree_errors
    from downstream.metrics.error_by_degree import find_true_maps as find_true_maps
    from downstream.metrics.frechet import FeatureNetwork as FeatureNetwork
    from downstream.metrics.frechet import FrechetDistance as FrechetDistance
    from downstream.metrics.frechet import compute_image_features as compute_image_features
    from downstream.metrics.frechet import frechet_distance as frechet_distance
    from downstream.metrics.frechet import load_feature_network as load_feature_network
    from downstream.metrics.lpips import PerceptualDistance as PerceptualDistance
    from downstream.metrics.lpips import load_perceptual_distance as load_perceptual_distance
    from downstream.metrics.lpips import perceptual_distances as perceptual_distances
    from downstream.metrics.modes import ModeScores as ModeScores
    from downstream.metrics.modes import score_modes as score_modes
    from downstream.metrics.paired_differences import compare_errors as compare_errors
    from downstream.metrics.paired_differences import compute_mean_interval as compute_mean_interval
    from downstream.metrics.paired_differences import write_difference as write_difference
    from downstream.metrics.prediction_scores import ImageMetrics as ImageMetrics
    from downstream.metrics.prediction_scores import compute_input_errors as compute_input_errors
    from downstream.metrics.prediction_scores import score_errors as score_errors
    from downstream.metrics.prediction_scores import score_images as score_images
    from downstream.metrics.prediction_scores import score_spectral_maps as score_spectral_maps
    from downstream.metrics.psnr_ssim import peak_signal_noise_ratio as peak_signal_noise_ratio
    from downstream.metrics.psnr_ssim import structural_similarity as structural_similarity
    from downstream.metrics.retrieval import ClassRetrieval as ClassRetrieval
    from downstream.metrics.retrieval import ReconstructionRetrieval as ReconstructionRetrieval
    from downstream.metrics.retrieval import score_class_retrieval as score_class_retrieval
    from downstream.metrics.retrieval import score_reconstruction_retrieval as score_reconstruction_retrieval

# public name -> the module that holds it
PUBLIC_NAMES = {
    "ClassRetrieval": "downstream.metrics.retrieval",
    "DegreeErrors": "downstream.metrics.error_by_degree",
    "FeatureNetwork": "downstream.metrics.frechet",
    "FrechetDistance": "downstream.metrics.frechet",
    "ImageMetrics": "downstream.metrics.prediction_scores",
    "ModeScores": "downstream.metrics.modes",
    "PerceptualDistance": "downstream.metrics.lpips",
    "ReconstructionRetrieval": "downstream.metrics.retrieval",
    "SampleClassifier": "downstream.metrics.class_score",
    "add_label_noise": "downstream.metrics.class_score",
    "chamfer_distance": "downstream.metrics.chamfer",
    "compute_class_score": "downstream.metrics.class_score",
    "compute_degree_errors": "downstream.metrics.error_by_degree",
    "compute_image_features": "downstream.metrics.frechet",
    "find_true_maps": "downstream.metrics.error_by_degree",
    "frechet_distance": "downstream.metrics.frechet",
    "load_feature_network": "downstream.metrics.frechet",
    "load_perceptual_distance": "downstream.metrics.lpips",
    "make_perceptual_distance": "downstream.metrics.diversity",
    "make_rms_distance": "downstream.metrics.diversity",
    "match_classes": "downstream.metrics.class_score",
    "match_classes_by_neighbour": "downstream.metrics.class_score",
    "peak_signal_noise_ratio": "downstream.metrics.psnr_ssim",
    "perceptual_distances": "downstream.metrics.lpips",
    "prediction_diversity": "downstream.metrics.diversity",
    "score_class_retrieval": "downstream.metrics.retrieval",
    "compare_errors": "downstream.metrics.paired_differences",
    "compute_input_errors": "downstream.metrics.prediction_scores",
    "compute_mean_interval": "downstream.metrics.paired_differences",
    "score_errors": "downstream.metrics.prediction_scores",
    "score_images": "downstream.metrics.prediction_scores",
    "score_modes": "downstream.metrics.modes",
    "score_reconstruction_retrieval": "downstream.metrics.retrieval",
    "score_spectral_maps": "downstream.metrics.prediction_scores",
    "structural_similarity": "downstream.metrics.psnr_ssim",
    "train_classifier": "downstream.metrics.class_score",
    "write_difference": "downstream.metrics.paired_differences",
}

__all__ = [*PUBLIC_NAMES]  # pyright: ignore
__getattr__, __dir__ = import_on_first_use(__name__, PUBLIC_NAMES)
