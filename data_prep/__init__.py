"""Raw files to map files: sources, mesh reading, sampling, transforms, layout, store, pipeline."""
