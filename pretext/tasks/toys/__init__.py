"""The toy problems of the papers."""
