"""Networks as importable units: encoders, generators, discriminators and the layers they share.

========================  ======================================================================
``encoder_decoder``       convolutional encoder, generator and latent optimiser for maps
``pointwise``             the same three-layer networks for data without extent
``coefficient_encoder``   residual perceptron on the coefficients of spectral maps
``grid_encoder``          3D convolutions on the density that Zernike moments stand for
``image_encoder``         convolutional encoder of images, fast on a processor
``choose_encoder``        picks one of the last three for the data at hand
``latent_generator``      encoder and generator that give several samples for one condition
``discriminators``        discriminators of whole maps, of patches and of points
``patch_layer``           patch filters learnt by k-means before training
``patch_dictionary``      contrast normalisation, whitening and k-means of patches
``feature_layers``        the activations of an encoder as features, by name
``basic_layers``          a fast linear layer and the group normalisation
========================  ======================================================================
"""
