"""Reader of glTF 2.0 (.gltf and .glb): container, decoders of compressed buffers, nodes and scene."""
