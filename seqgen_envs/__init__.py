"""Sequence generation as Gymnasium environments."""
