"""Encoders, generators and discriminators."""
