"""Confusion matrices and the metrics made of them."""
