"""Salts and solvents: which part of a mixture is the molecule meant, and its charges.

Counter-ions and solvents go by a list, RDKit's (``FragmentRemover``: ions of metals and halogens,
small acids, solvents) and :data:`COUNTERIONS`, larger ones of drugs (Stahl and Wermuth, "Handbook
of Pharmaceutical Salts", 2002), some of which are larger than the drug. Of what is left the largest
stays; nothing depends on the order in which fragments are written.
"""

from __future__ import annotations

from functools import cache, lru_cache

from rdkit import Chem
from rdkit.Chem.MolStandardize import rdMolStandardize

from seqgen_envs.domains.molecule.smiles import canonical, quiet

#: Neutral forms; stereochemistry and charge do not matter.
COUNTERIONS = (
    "OC(=O)C(=O)O",  # oxalic acid
    "OC(=O)CC(=O)O",  # malonic
    "OC(=O)CCC(=O)O",  # succinic
    "OC(=O)CCCCC(=O)O",  # adipic
    "OC(=O)C=CC(=O)O",  # fumaric, maleic
    "OC(=O)CC(O)C(=O)O",  # malic
    "OC(=O)C(O)C(O)C(=O)O",  # tartaric
    "OC(=O)CC(O)(CC(=O)O)C(=O)O",  # citric
    "OC(=O)C(O)C",  # lactic
    "OCC(O)C(O)C(O)C(O)C(=O)O",  # gluconic
    "OCC(O)C(O)C(O)C(O)C(O)C(=O)O",  # gluceptic
    "OC(=O)C(O)C(O)C(O)C(O)C(=O)O",  # mucic
    "O=C(O)C1OC(O)C(O)C(O)C1O",  # glucuronic
    "OC(=O)CO",  # glycolic
    "OC(=O)CCCCCCCCCCCCCCCCC",  # stearic
    "OC(=O)c1ccccc1",  # benzoic
    "OC(=O)c1ccccc1O",  # salicylic
    "OC(=O)C(O)c1ccccc1",  # mandelic
    "OC(=O)c1cc2ccccc2c(Cc2c(O)c(C(=O)O)cc3ccccc23)c1O",  # pamoic
    "OC(=O)c1cc2ccccc2cc1O",  # 3-hydroxy-2-naphthoic
    "CS(=O)(=O)O",  # mesylate
    "CCS(=O)(=O)O",  # esylate
    "OCCS(=O)(=O)O",  # isethionate
    "OS(=O)(=O)CCS(=O)(=O)O",  # edisylate
    "OS(=O)(=O)c1ccccc1",  # besylate
    "Cc1ccc(S(=O)(=O)O)cc1",  # tosylate
    "OS(=O)(=O)c1cccc2ccccc12",  # napsylate, 1 and 2
    "OS(=O)(=O)c1ccc2ccccc2c1",
    "CC1(C)C2CCC1(CS(=O)(=O)O)C(=O)C2",  # camsylate
    "O=S(=O)(O)C(F)(F)F",  # triflate
    "Cc1cc(O)c(C(=O)O)cc1",  # cresotic
    "OC(=O)c1cccnc1",  # nicotinic
    "OC(=O)C1CCC(=O)N1",  # pyroglutamic
    "O=c1[nH]c(=O)c(O)c(C(=O)O)[nH]1",  # hydroxyorotic
    "O=C(O)c1cc(=O)[nH]c(=O)[nH]1",  # orotic
    "Cn1c(=O)c2[nH]c(Cl)nc2n(C)c1=O",  # 8-chlorotheophylline
    "CNCC(O)C(O)C(O)C(O)CO",  # meglumine
    "NC(CO)(CO)CO",  # tromethamine
    "NCCO", "OCCNCCO", "OCCN(CCO)CCO",  # ethanolamines
    "NCCN", "CCNCC", "CCN(CC)CC", "CC(C)(C)N",  # amines
    "C1CCCCC1NC1CCCCC1",  # dicyclohexylamine
    "c1ccc(CNCCNCc2ccccc2)cc1",  # benzathine
    "CCN(CC)CCO", "C[N+](C)(C)CCO",  # diethylaminoethanol, choline
    "NCCCCC(N)C(=O)O", "NC(=N)NCCCC(N)C(=O)O", "NCC(=O)O",  # lysine, arginine, glycine
    "OC(=O)CCC(N)C(=O)O", "OC(=O)CC(N)C(=O)O",  # glutamic and aspartic acid
    "O[Cl+3]([O-])([O-])[O-]", "F[B-](F)(F)F", "F[P-](F)(F)(F)(F)F",
    "c1ccncc1", "OCC(O)CO", "CC(O)CO", "OCCO",  # pyridine, glycerol, glycols
    "[Cs+]", "[Rb+]", "[Sr+2]", "[Ba+2]", "[Cu+2]", "[Mn+2]", "[Bi+3]", "[Fe+2]", "[Fe+3]",
)  # fmt: skip


def parent(molecule: Chem.Mol) -> Chem.Mol:
    """The fragment that is meant: the largest that is neither counter-ion nor solvent.

    Largest in heavy atoms; of equals the first by canonical SMILES. Where all are on the list, the
    largest of all.
    """
    with quiet():
        fragments = Chem.GetMolFrags(molecule, asMols=True)
        texts = {canonical(fragment): fragment for fragment in fragments}
        rest = [text for text in texts if not is_counterion(text)] or list(texts)
    found: Chem.Mol = texts[min(rest, key=lambda text: (-texts[text].GetNumHeavyAtoms(), text))]
    return found


@lru_cache(maxsize=10_000)
def is_counterion(smiles: str) -> bool:
    """Whether a fragment, as canonical SMILES, is on the list of counter-ions and solvents."""
    molecule = Chem.MolFromSmiles(smiles)
    if molecule is None:
        return False
    if _flat(molecule) in _counterions():
        return True
    return not _remover().remove(molecule).GetNumAtoms()


def neutral(molecule: Chem.Mol) -> Chem.Mol:
    """The molecule with charges taken off by protons, as far as they go (not of N+ with four)."""
    with quiet():
        uncharged: Chem.Mol = _uncharger().uncharge(molecule)
        return uncharged


def is_charged(molecule: Chem.Mol) -> bool:
    """Whether its charges do not add up to nothing: [N+](=O)[O-] is not meant."""
    return bool(Chem.GetFormalCharge(molecule))


def _flat(molecule: Chem.Mol) -> str:
    return Chem.MolToSmiles(_uncharger().uncharge(molecule), isomericSmiles=False)


@cache
def _counterions() -> frozenset[str]:
    with quiet():
        return frozenset(_flat(Chem.MolFromSmiles(smiles)) for smiles in COUNTERIONS)


@cache
def _remover() -> rdMolStandardize.FragmentRemover:
    return rdMolStandardize.FragmentRemover("", False)  # the last fragment may go as well


@cache
def _uncharger() -> rdMolStandardize.Uncharger:
    return rdMolStandardize.Uncharger()
