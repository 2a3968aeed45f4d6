"""Writes ``molecule_oracles.npz``: GuacaMol's own scores of a few hundred molecules.

The file holds ``smiles`` [n], ``oracles`` [20] (PMO's names), ``scores`` float64 [n, 20], and the
``versions`` of GuacaMol and RDKit. GuacaMol (MIT) is not a dependency: it is put aside for this,

    pip install --no-deps --target guacamol_here guacamol==0.5.5
    pip install joblib tqdm
    PYTHONPATH=guacamol_here python tests/data/generate_molecule_oracles.py zinc250k.smi.gz

with any file of drug-like SMILES, one a line. Two things stop its import today: SciPy's
``histogram`` is gone, and its Frechet benchmark wants ``fcd``, which nothing here uses. Both are
given stand-ins below; the scoring functions are untouched.
"""

import gzip
import importlib.metadata
import random
import sys
import types
from pathlib import Path

import numpy as np
import rdkit
import scipy
from rdkit import Chem
from rdkit.rdBase import BlockLogs

from seqgen_envs.domains.molecule.objectives.oracles import MOLECULES

TARGET = Path(__file__).parent / "molecule_oracles.npz"
SEED = 7
DRAWN = 120
#: Of each oracle's search, see :func:`search`.
POPULATION, ROUNDS, KEPT = 24, 40, 10
MAX_ATOMS = 60

SEEDS = [
    "CCCCC(=O)N(Cc1ccc(cc1)-c1ccccc1-c1nnn[nH]1)C(C(C)C)C(=O)O",  # valsartan
    "Cc1ccccc1C(=O)N(C)Cc1ccc(-c2ccccc2)cc1",
    "O=[N+]([O-])c1cccc(CN)c1",  # C7H8N2O2
    "CCOP(=O)(c1ccc(F)c(F)c1)NCCl",
]
# fmt: off
ODD = [
    "C", "O", "N", "[H][H]", "CC", "C#C", "C=O", "c1ccccc1", "[Na+].[Cl-]", "[2H]OC", "Cl", "[He]",
    "C[N+](C)(C)CC(=O)[O-]", "CC(=O)[O-].[Na+]", "NCC(=O)O.Cl", "[NH4+]",
    "CN1CCC[C@H]1c1cccnc1.OC(=O)CC(O)=O",
    "[O-]c1ccccc1.[NH4+]", "C[NH+](C)CCc1c[nH]c2ccccc12", "[K+].[K+].[O-]C(=O)c1ccccc1C([O-])=O",
    "CC(C)(C)NCC(O)c1ccc(O)c(CO)c1.OS(=O)(=O)O", "OB(O)c1ccccc1", "C[Si](C)(C)c1ccccc1",
    "FC(F)(F)C(F)(F)C(F)(F)F", "BrC(Br)Br", "Ic1ccc(I)cc1", "O=S(=O)(O)c1ccccc1", "CP(C)(=O)C",
    "C1CCCCCCCCCCCCCC1", "C1CC2CCC1CC2", "C12C3C4C1C5C2C3C45", "C1CC12CC2", "[13CH3]C(=O)N",
    "F/C=C/Cl", "F/C=C\\Cl", "N[C@@H](C)C(=O)O", "N[C@H](C)C(=O)O", "CCCCCCCCCCCCCCCCCC(=O)O",
    "OCC1OC(OC2C(O)C(O)C(O)OC2CO)C(O)C(O)C1O", "Nc1ncnc2c1ncn2C1OC(COP(=O)(O)O)C(O)C1O",
    "CC(C)C[C@H](NC(=O)[C@H](CC(=O)O)NC(=O)[C@@H](N)CCCNC(=N)N)C(=O)N[C@@H](Cc1ccccc1)C(=O)O",
    "CC1OC(=O)C(C)C(OC2CC(C)(OC)C(O)C(C)O2)C(C)C(OC2OC(C)CC(C2O)N(C)C)C(C)(O)CC(C)C(=O)C(C)C(O)"
    "C1(C)O",
    "O=c1c(O)c(-c2ccc(O)c(O)c2)oc2cc(O)cc(O)c12", "CN1C(=O)N(C)c2ncn(C)c2C1=O", "[CH3]",
    "CCN(CC)CC.CCN(CC)CC", "O=C1CCCCC1.CC1(C)C2CCC1(C)C(=O)C2", "*c1ccccc1", "C[Se]C", "[Fe+2]",
]
# fmt: on


def objectives():
    """GuacaMol's objective of each oracle, by PMO's name."""
    scipy.histogram = np.histogram
    stub = types.ModuleType("guacamol.frechet_benchmark")
    stub.FrechetBenchmark = object
    sys.modules[stub.__name__] = stub
    from guacamol import standard_benchmarks as made
    from guacamol.benchmark_suites import goal_directed_suite_v2

    suite = {benchmark.name: benchmark.objective for benchmark in goal_directed_suite_v2()}
    return {
        "albuterol_similarity": suite["Albuterol similarity"],
        "amlodipine_mpo": suite["Amlodipine MPO"],
        "celecoxib_rediscovery": suite["Celecoxib rediscovery"],
        "deco_hop": suite["Deco Hop"],
        "fexofenadine_mpo": suite["Fexofenadine MPO"],
        "isomers_c7h8n2o2": made.isomers_c7h8n2o2().objective,
        "isomers_c9h10n2o2pf2cl": suite["C9H10N2O2PF2Cl"],
        "median1": suite["Median molecules 1"],
        "median2": suite["Median molecules 2"],
        "mestranol_similarity": suite["Mestranol similarity"],
        "osimertinib_mpo": suite["Osimertinib MPO"],
        "perindopril_mpo": suite["Perindopril MPO"],
        "qed": made.qed_benchmark().objective,
        "ranolazine_mpo": suite["Ranolazine MPO"],
        "scaffold_hop": suite["Scaffold Hop"],
        "sitagliptin_mpo": suite["Sitagliptin MPO"],
        "thiothixene_rediscovery": suite["Thiothixene rediscovery"],
        "troglitazone_rediscovery": suite["Troglitazone rediscovery"],
        "valsartan_smarts": suite["Valsartan SMARTS"],
        "zaleplon_mpo": suite["Zaleplon MPO"],
    }


def mutate(smiles, rng):
    """A neighbour of a molecule by one edit of one atom or bond, or None where that is no molecule.

    Most such edits of aromatic atoms fail; they are simply tried again.
    """
    molecule = Chem.RWMol(Chem.MolFromSmiles(smiles))
    Chem.Kekulize(molecule, clearAromaticFlags=True)
    atom = molecule.GetAtomWithIdx(rng.randrange(molecule.GetNumAtoms()))
    edit = rng.choice(["element", "swap", "add", "remove", "bond"])
    if edit == "element":
        atom.SetAtomicNum(rng.choice([6, 7, 8, 9, 15, 16, 17]))
    elif edit == "swap":
        other = molecule.GetAtomWithIdx(rng.randrange(molecule.GetNumAtoms()))
        one, two = atom.GetAtomicNum(), other.GetAtomicNum()
        atom.SetAtomicNum(two)
        other.SetAtomicNum(one)
    elif edit == "add":
        new = molecule.AddAtom(Chem.Atom(rng.choice([6, 6, 7, 8, 9])))
        molecule.AddBond(atom.GetIdx(), new, Chem.BondType.SINGLE)
    elif edit == "remove" and atom.GetDegree() == 1:
        molecule.RemoveAtom(atom.GetIdx())
    elif molecule.GetNumBonds():
        bond = molecule.GetBondWithIdx(rng.randrange(molecule.GetNumBonds()))
        bond.SetBondType(rng.choice([Chem.BondType.SINGLE, Chem.BondType.DOUBLE]))
    for changed in molecule.GetAtoms():
        changed.SetNoImplicit(False)
        changed.SetNumExplicitHs(0)
    try:
        Chem.SanitizeMol(molecule)
        text = Chem.MolToSmiles(molecule)
    except (ValueError, RuntimeError):
        return None
    again = Chem.MolFromSmiles(text)
    small = again is not None and 0 < again.GetNumAtoms() <= MAX_ATOMS
    return Chem.MolToSmiles(again) if small else None


def search(score, start, rng):
    """Molecules of every height of a short evolutionary search that starts from ``start``."""
    seen = {smiles: score(smiles) for smiles in start}
    for _ in range(ROUNDS):
        best = sorted(seen, key=seen.get, reverse=True)[:POPULATION]
        children = {mutate(smiles, rng) for smiles in best} - {None} - set(seen)
        seen |= {smiles: score(smiles) for smiles in sorted(children)}
    ranked = sorted((s for s in seen if seen[s] > 1e-2), key=seen.get, reverse=True)
    return [ranked[i] for i in np.linspace(0, len(ranked) - 1, KEPT).astype(int)]


def main():
    with gzip.open(sys.argv[1], "rt") as file:
        lines = file.read().split()
    rng = random.Random(SEED)
    drawn = rng.sample(lines, DRAWN)
    named = [*MOLECULES.values(), *SEEDS]
    pool = {Chem.CanonSmiles(smiles): None for smiles in [*drawn, *named, *ODD]}
    start = [Chem.CanonSmiles(smiles) for smiles in named]
    judges = objectives()
    for name, objective in judges.items():
        found = search(objective.score, start, rng)
        pool |= dict.fromkeys(found)
        print(f"{name:26s} best {max(map(objective.score, found)):.4f}")
    smiles = list(pool)
    scores = np.array([[judge.score(text) for judge in judges.values()] for text in smiles])
    assert scores.min() >= 0, "GuacaMol says -1 where it fails"
    versions = [f"guacamol {importlib.metadata.version('guacamol')}", f"rdkit {rdkit.__version__}"]
    np.savez_compressed(
        TARGET, smiles=smiles, oracles=list(judges), scores=scores, versions=versions
    )
    print(f"{len(smiles)} molecules, {TARGET.stat().st_size} bytes")
    print(dict(zip(judges, (scores > 1e-3).sum(axis=0).tolist(), strict=True)))


if __name__ == "__main__":
    block = BlockLogs()
    main()
