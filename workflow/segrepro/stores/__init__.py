"""The files between the stages: manifests, score stores, proposals; how maps are fitted to a store and brought back."""
