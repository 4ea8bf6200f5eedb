"""The sample: generated scenes with 20 classes, packed into archives of the official layouts."""
