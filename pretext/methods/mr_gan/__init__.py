"""MR-GAN: moment losses, the predictor, and the networks of the paper."""
