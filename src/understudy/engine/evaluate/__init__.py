"""Weights on disk, measured: of classifiers, detectors and embeddings."""
