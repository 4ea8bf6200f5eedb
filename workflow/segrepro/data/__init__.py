"""Archives, data sets, manifests, label checks."""
