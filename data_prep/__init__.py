"""Preparation of data: from raw files to map files of spectral coefficients or images.

Imports go one way. ``pipeline`` stands on ``sources``, ``maps`` and ``transforms``; these on
``readers`` and ``geometry``; all of them on ``layout``, ``basis``, ``source`` and ``compiling``.
"""
