"""Batches of every kind of images, in the order that seed and epoch decide."""
