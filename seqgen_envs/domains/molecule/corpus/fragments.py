"""Salts and solvents: which part of a mixture is the molecule meant, and its charges.

Counter-ions and solvents go by a list, RDKit's (``FragmentRemover``: ions of metals and halogens,
small acids, solvents) and :data:`COUNTERIONS`, larger ones of drugs, some of which are larger than
the drug. All of these but the last group are in the list of ChEMBL's structure pipeline (Bento et
al. 2020, "An open source chemical structure curation pipeline using RDKit", ``salts.smi`` of its
version 1.2.4); what that list has further is rare, or acids that occur as parts of esters. Of what
is left the largest stays; nothing depends on the order in which fragments are written.
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
    "OC(=O)c1ccc2ccccc2c1O",  # 1-hydroxy-2-naphthoic: xinafoate
    "CS(=O)(=O)O",  # mesylate
    "CCS(=O)(=O)O",  # esylate
    "OCCS(=O)(=O)O",  # isethionate
    "OS(=O)(=O)CCS(=O)(=O)O",  # edisylate
    "OS(=O)(=O)c1ccccc1",  # besylate
    "Cc1ccc(S(=O)(=O)O)cc1",  # tosylate
    "OS(=O)(=O)c1ccc2ccccc2c1",  # napsylate
    "CC1(C)C2CCC1(CS(=O)(=O)O)C(=O)C2",  # camsylate
    "O=S(=O)(O)C(F)(F)F",  # triflate
    "OC(=O)c1cccnc1",  # nicotinic
    "OC(=O)C1CCC(=O)N1",  # pyroglutamic
    "CNCC(O)C(O)C(O)C(O)CO",  # meglumine
    "NC(CO)(CO)CO",  # tromethamine
    "NCCO", "OCCNCCO", "OCCN(CCO)CCO",  # ethanolamines
    "NCCN", "CCNCC", "CCN(CC)CC", "CC(C)(C)N",  # amines
    "C1CCCCC1NC1CCCCC1",  # dicyclohexylamine
    "c1ccc(CNCCNCc2ccccc2)cc1",  # benzathine
    "CCN(CC)CCO", "C[N+](C)(C)CCO",  # diethylaminoethanol, choline
    "NCCCCC(N)C(=O)O", "NC(=N)NCCCC(N)C(=O)O",  # lysine, arginine
    "OC(=O)CCC(N)C(=O)O", "OC(=O)CC(N)C(=O)O",  # glutamic and aspartic acid
    "O[Cl+3]([O-])([O-])[O-]", "F[B-](F)(F)F",
    "OCC(O)CO", "CC(O)CO",  # glycerol, propylene glycol
    "CCC(=O)O", "CCCC(=O)O", "CCCCCC(=O)O", "CC(C)C(=O)O", "CC(C)(C)C(=O)O",  # propionic, ...
    "CCCCCCCC(=O)O", "CCCCCCCCCC(=O)O", "CCCCCCCCCCCC(=O)O",  # caprylic, capric, lauric
    "CCCCCCCCCCCCCCCC(=O)O", "CCCCCCCCC=CCCCCCCCC(=O)O",  # palmitic, oleic
    "OC(=O)CCCC(=O)O", "OC(=O)CCC(=O)C(=O)O",  # glutaric, 2-oxoglutaric
    "OC(=O)C=Cc1ccccc1", "OC(=O)c1cc(O)ccc1O", "OC(=O)c1occc1",  # cinnamic, gentisic, furoic
    "OC(=O)CNC(=O)c1ccccc1", "CC(=O)NCC(=O)O",  # hippuric, aceturic
    "CC(=O)Nc1ccc(cc1)C(=O)O",  # 4-acetamidobenzoic
    "CC1(C)C(CCC1(C)C(=O)O)C(=O)O",  # camphoric
    "OC(=O)C(Cl)Cl",  # dichloroacetic
    "OC(=O)C(c1ccccc1)(c1ccccc1)c1ccccc1",  # trifenatate
    "OCC(O)C1OC(=O)C(O)=C1O",  # ascorbic
    "OCC(O)C(OC1OC(CO)C(O)C(O)C1O)C(O)C(O)C(=O)O",  # lactobionic
    "OC(=O)CN(CCN(CC(=O)O)CC(=O)O)CC(=O)O",  # EDTA
    "OC(=O)c1cccc(S(=O)(=O)O)c1O",  # sulfosalicylic
    "OS(=O)(=O)c1cccc2c(S(=O)(=O)O)cccc12",  # napadisilate
    "OS(=O)(=O)c1ccc(Cl)cc1",  # closylate
    "OS(=O)(=O)NC1CCCCC1",  # cyclamate
    "COS(=O)(=O)O", "CCOS(=O)(=O)O", "CCCCCCCCCCCCOS(=O)(=O)O",  # alkyl sulfates
    "OCC(O)COP(=O)(O)O",  # glycerophosphate
    "OC(=O)O", "SC#N",  # carbonic, thiocyanic
    "O=C1NS(=O)(=O)c2ccccc12",  # saccharin
    "Oc1c([N+](=O)[O-])cc([N+](=O)[O-])cc1[N+](=O)[O-]",  # picric
    "CN(C)CCO", "CC(C)(N)CO", "CC(O)CN(C)C",  # further amino alcohols
    "OCCN1CCCC1", "OCCN1CCOCC1",  # epolamine, hydroxyethylmorpholine
    "C(Cc1ccccc1)NCc1ccccc1", "C1CNCCN1", "c1c[nH]cn1",  # benethamine, piperazine, imidazole
    # of our own
    "O=C(O)c1cc(=O)[nH]c(=O)[nH]1",  # orotic, whose SMILES in ChEMBL's list is another tautomer's
    "OC(=O)c1cc2ccccc2cc1O",  # 3-hydroxy-2-naphthoic
    "OS(=O)(=O)c1cccc2ccccc12",  # 1-naphthalenesulfonic
    "Cn1c(=O)c2[nH]c(Cl)nc2n(C)c1=O",  # 8-chlorotheophylline, of dimenhydrinate
    "NCC(=O)O", "c1ccncc1", "OCCO",  # glycine, pyridine, ethylene glycol
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
