"""Corpora of molecules: cleaned lines of SMILES, named ones, other spellings."""
