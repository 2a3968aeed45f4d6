"""An oracle of your own: a function of canonical SMILES, one number each.

seqgen sample molecule -n 8 --out scored --task custom:examples/oracle.py:few_heteroatoms
"""

from rdkit import Chem


def few_heteroatoms(smiles):
    """1 for a molecule of carbon alone, less for each other atom; None: this molecule failed."""
    return [score(text) for text in smiles]


def score(text):
    """The score of one molecule."""
    molecule = Chem.MolFromSmiles(text)
    if molecule is None:
        return None
    others = sum(atom.GetSymbol() != "C" for atom in molecule.GetAtoms())
    return 1.0 / (1.0 + others)
