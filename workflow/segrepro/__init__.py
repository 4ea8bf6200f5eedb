"""Semantic segmentation, reproduced: the package behind the segrepro workflow."""

__version__ = "0.1.0"
