"""Fusion: several systems' score stores combined into one, which is a system like any other."""
