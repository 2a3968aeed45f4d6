"""Verse."""
