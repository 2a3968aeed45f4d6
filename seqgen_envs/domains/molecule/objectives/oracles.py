"""The oracles of Practical Molecular Optimization (Gao et al. 2022, arXiv 2206.12411), by name.

Twenty are objectives of GuacaMol (Brown et al. 2019, arXiv 1811.09621) and need RDKit alone; drd2,
gsk3b and jnk3 are classifiers (:mod:`~.classifiers`). All score 0..1.

PMO's published figures come from an isomer score that counted the letters of the SMILES where
GuacaMol counts atoms (isomers_*, sitagliptin_mpo, zaleplon_mpo). Its package has been mended since
and agrees with GuacaMol; so does this. Its deco_hop and scaffold_hop share a global substructure,
so that using one spoils the other in the same process; here no two oracles share anything.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from seqgen_envs.domains.molecule.objectives import classifiers
from seqgen_envs.domains.molecule.objectives.means import Arithmetic, Geometric, Objective
from seqgen_envs.domains.molecule.objectives.modifiers import (
    Clipped,
    Gaussian,
    MaxGaussian,
    MinGaussian,
)
from seqgen_envs.domains.molecule.objectives.parts import (
    IsomerScore,
    Measured,
    Similarity,
    Substructure,
)
from seqgen_envs.domains.molecule.objectives.properties import MatchCount, get_property
from seqgen_envs.domains.molecule.objectives.queries import read_smiles

#: SMILES of the molecules that the oracles refer to.
MOLECULES = {
    "albuterol": "CC(C)(C)NCC(O)c1ccc(O)c(CO)c1",
    "amlodipine": r"Clc1ccccc1C2C(=C(/N/C(=C2/C(=O)OCC)COCCN)C)\C(=O)OC",
    "camphor": "CC1(C)C2CCC1(C)C(=O)C2",
    "celecoxib": "CC1=CC=C(C=C1)C1=CC(=NN1C1=CC=C(C=C1)S(N)(=O)=O)C(F)(F)F",
    "fexofenadine": "CC(C)(C(=O)O)c1ccc(cc1)C(O)CCCN2CCC(CC2)C(O)(c3ccccc3)c4ccccc4",
    # what deco_hop and scaffold_hop start from
    "hop": "CCCOc1cc2ncnc(Nc3ccc4ncsc4c3)c2cc1S(=O)(=O)C(C)(C)C",
    "menthol": "CC(C)C1CCC(C)CC1O",
    "mestranol": "COc1ccc2[C@H]3CC[C@@]4(C)[C@@H](CC[C@@]4(O)C#C)[C@@H]3CCc2c1",
    "osimertinib": "COc1cc(N(C)CCN(C)C)c(NC(=O)C=C)cc1Nc2nccc(n2)c3cn(C)c4ccccc34",
    "perindopril": "O=C(OCC)C(NC(C(=O)N1C(C(=O)O)CC2CCCCC12)C)CCC",
    "ranolazine": "COc1ccccc1OCC(O)CN2CCN(CC(=O)Nc3c(C)cccc3C)CC2",
    "sildenafil": "CCCC1=NN(C2=C1N=C(NC2=O)C3=C(C=CC(=C3)S(=O)(=O)N4CCN(CC4)C)OCC)C",
    "sitagliptin": "Fc1cc(c(F)cc1F)CC(N)CC(=O)N3Cc2nnc(n2CC3)C(F)(F)F",
    "tadalafil": "O=C1N(CC(N2C1CC3=C(C2C4=CC5=C(OCO5)C=C4)NC6=C3C=CC=C6)=O)C",
    "thiothixene": "CN(C)S(=O)(=O)c1ccc2Sc3ccccc3C(=CCCN4CCN(C)CC4)c2c1",
    "troglitazone": "Cc1c(C)c2OC(C)(COc3ccc(CC4SC(=O)NC4=O)cc3)CCc2c(C)c1O",
    "zaleplon": "O=C(C)N(CC)C1=CC=CC(C2=CC=NC3=C(C=NN23)C#N)=C1",
}

_HOP_SCAFFOLD = "[#7]-c1n[c;h1]nc2[c;h1]c(-[#8])[c;h0][c;h1]c12"
_HOP_AMINE = "[#7]-c1ccc2ncsc2c1"
_HOP_CHAIN = "[#6]-[#6]-[#6]-[#8]-[#6]~[#6]~[#6]~[#6]~[#6]-[#7]-c1ccc2ncsc2c1"
_SULFONE = "CS([#6])(=O)=O"
_VALSARTAN = "CN(C=O)Cc1ccc(c2ccccc2)cc1"


def _similar(name: str, fingerprint: str, until: float | None = None) -> Similarity:
    """Similarity to a molecule; with ``until``, 1 from that similarity on."""
    modifier = None if until is None else Clipped(0.0, until)
    return Similarity(MOLECULES[name], fingerprint, modifier)


def _like(name: str, quantity: str, sigma: float) -> Measured:
    """A property as a molecule has it, in deviations of ``sigma``."""
    target = get_property(quantity)(read_smiles(MOLECULES[name]))
    return Measured(quantity, Gaussian(target, sigma))


def _median(one: str, other: str, fingerprint: str) -> Geometric:
    return Geometric((_similar(one, fingerprint), _similar(other, fingerprint)))


def _amlodipine() -> Geometric:
    rings = Measured("rings", Gaussian(3, 0.5))
    return Geometric((rings, _similar("amlodipine", "ECFP4")))


def _perindopril() -> Geometric:
    rings = Measured("aromatic_rings", Gaussian(2, 0.5))
    return Geometric((rings, _similar("perindopril", "ECFP4")))


def _fexofenadine() -> Geometric:
    return Geometric(
        (
            _similar("fexofenadine", "AP", until=0.8),
            Measured("tpsa", MaxGaussian(90, 10)),
            Measured("logp", MinGaussian(4, 1)),
        )
    )


def _osimertinib() -> Geometric:
    return Geometric(
        (
            _similar("osimertinib", "FCFP4", until=0.8),
            Similarity(MOLECULES["osimertinib"], "ECFP6", MinGaussian(0.85, 0.1)),
            Measured("tpsa", MaxGaussian(100, 10)),
            Measured("logp", MinGaussian(1, 1)),
        )
    )


def _ranolazine() -> Geometric:
    return Geometric(
        (
            _similar("ranolazine", "AP", until=0.7),
            Measured("logp", MaxGaussian(7, 1)),
            Measured("tpsa", MaxGaussian(95, 20)),
            Measured(MatchCount("[F]"), Gaussian(1, 1)),
        )
    )


def _sitagliptin() -> Geometric:
    return Geometric(
        (
            IsomerScore("C16H15F6N5O"),
            _like("sitagliptin", "tpsa", 5),
            _like("sitagliptin", "logp", 0.2),
            Similarity(MOLECULES["sitagliptin"], "ECFP4", Gaussian(0, 0.1)),
        )
    )


def _valsartan() -> Geometric:
    return Geometric(
        (
            Substructure(_VALSARTAN),
            _like("sitagliptin", "tpsa", 5),
            _like("sitagliptin", "logp", 0.2),
            _like("sitagliptin", "bertz", 30),
        )
    )


def _zaleplon() -> Geometric:
    return Geometric((IsomerScore("C19H17N3O2"), _similar("zaleplon", "ECFP4")))


def _deco_hop() -> Arithmetic:
    return Arithmetic(
        (
            _similar("hop", "PHCO", until=0.85),
            Substructure(_SULFONE, inverse=True),
            Substructure(_HOP_AMINE, inverse=True),
            Substructure(_HOP_SCAFFOLD),
        )
    )


def _scaffold_hop() -> Arithmetic:
    return Arithmetic(
        (
            _similar("hop", "PHCO", until=0.75),
            Substructure(_HOP_CHAIN),
            Substructure(_HOP_SCAFFOLD, inverse=True),
        )
    )


def _classifier(name: str) -> Objective:
    return classifiers.load(name)


_BUILDERS: dict[str, Callable[[], Objective]] = {
    "albuterol_similarity": partial(_similar, "albuterol", "FCFP4", until=0.75),
    "amlodipine_mpo": _amlodipine,
    "celecoxib_rediscovery": partial(_similar, "celecoxib", "ECFP4"),
    "deco_hop": _deco_hop,
    "drd2": partial(_classifier, "drd2"),
    "fexofenadine_mpo": _fexofenadine,
    "gsk3b": partial(_classifier, "gsk3b"),
    "isomers_c7h8n2o2": partial(IsomerScore, "C7H8N2O2"),
    "isomers_c9h10n2o2pf2cl": partial(IsomerScore, "C9H10N2O2PF2Cl"),
    "jnk3": partial(_classifier, "jnk3"),
    "median1": partial(_median, "camphor", "menthol", "ECFP4"),
    "median2": partial(_median, "tadalafil", "sildenafil", "ECFP6"),
    "mestranol_similarity": partial(_similar, "mestranol", "AP", until=0.75),
    "osimertinib_mpo": _osimertinib,
    "perindopril_mpo": _perindopril,
    "qed": partial(Measured, "qed"),
    "ranolazine_mpo": _ranolazine,
    "scaffold_hop": _scaffold_hop,
    "sitagliptin_mpo": _sitagliptin,
    "thiothixene_rediscovery": partial(_similar, "thiothixene", "ECFP4"),
    "troglitazone_rediscovery": partial(_similar, "troglitazone", "ECFP4"),
    "valsartan_smarts": _valsartan,
    "zaleplon_mpo": _zaleplon,
}

#: Names of the 23 oracles.
ORACLES = tuple(_BUILDERS)


def oracle(name: str) -> Objective:
    """A new objective that is the oracle called ``name``.

    Raises:
        ValueError: there is none of that name.
        ImportError: it is a classifier, whose model is not there; the message says how to get it.
    """
    if not isinstance(name, str) or name not in _BUILDERS:
        raise ValueError(f"unknown oracle {name!r}; expected one of {', '.join(ORACLES)}")
    return _BUILDERS[name]()
