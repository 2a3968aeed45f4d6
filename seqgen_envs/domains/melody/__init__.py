"""Melodies of sixteenth notes and the nine rules of Sequence Tutor."""
