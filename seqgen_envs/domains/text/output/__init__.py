"""Texts as files and to look at."""
