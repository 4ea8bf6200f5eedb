"""Prediction and the score store."""
