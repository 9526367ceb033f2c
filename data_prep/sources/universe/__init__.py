"""An endless set of procedural shapes, each a function of version, seed and index alone."""

from data_prep.sources.universe.clouds import VERSION, Ingredients, universe_clouds

__all__ = ["VERSION", "Ingredients", "universe_clouds"]
