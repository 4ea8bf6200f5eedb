"""Archives, datasets, manifests, label checks."""
