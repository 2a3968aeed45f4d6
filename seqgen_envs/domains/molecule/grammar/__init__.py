"""Which tokens keep a half-written SMILES completable."""
