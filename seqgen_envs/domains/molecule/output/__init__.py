"""Molecules to look at and to keep: pictures and files."""
