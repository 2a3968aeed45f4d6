"""All that objectives are made of, as ``seqgen objectives`` lists it."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, fields
from functools import cache
from typing import Any

from seqgen_envs.domain_groups import Ingredient
from seqgen_envs.domains.molecule.objectives.alerts import CATALOGS
from seqgen_envs.domains.molecule.objectives.fingerprints import FINGERPRINTS
from seqgen_envs.domains.molecule.objectives.means import Arithmetic, Geometric
from seqgen_envs.domains.molecule.objectives.modifiers import MODIFIERS
from seqgen_envs.domains.molecule.objectives.oracles import ORACLES
from seqgen_envs.domains.molecule.objectives.properties import PROPERTIES, PenalizedLogP

#: What values a property has; a drug's usual ones where there is no bound.
_RANGES = {
    "logp": "any; drugs -1 to 5",
    "qed": "0 to 1",
    "sa": "1 (easy) to 10 (hard)",
    "largest_ring": "0, 3, 4, ...",
    "ring_penalty": "0, 1, 2, ...",
    "penalized_logp": "any",
    "penalized_logp_standardized": "any; 0 on average over ZINC250k",
    "weight": "above 0 daltons; drugs 150 to 600",
    "tpsa": "0 and more square angstroms; drugs 20 to 140",
    "bertz": "0 and more",
    "fraction_csp3": "0 to 1",
    "formal_charge": "..., -1, 0, 1, ...",
}
_COUNT = "0, 1, 2, ..."
#: What the class that a property shares with another does not say of it.
_LINES = {
    "penalized_logp_standardized": "logP - SA - ring penalty, each less its mean over ZINC250k and "
    "divided by its deviation.",
}

#: Arguments of an example, and what values come out.
_MODIFIERS: dict[str, tuple[dict[str, float], str]] = {
    "linear": ({"slope": -0.5, "offset": 2}, "any"),
    "squared": ({"target": 2.5, "coefficient": 0.1}, "up to 1"),
    "absolute": ({"target": 2.5}, "up to 1"),
    "gaussian": ({"mu": 2.5, "sigma": 0.5}, "0 to 1"),
    "min_gaussian": ({"mu": 3, "sigma": 1}, "0 to 1"),
    "max_gaussian": ({"mu": 2, "sigma": 1}, "0 to 1"),
    "clipped": ({"lower": 0, "upper": 4}, "low_score to high_score"),
    "smooth_clipped": ({"lower": 0, "upper": 4}, "low_score to high_score"),
    "thresholded": ({"threshold": 3}, "up to 1"),
    "sigmoid": ({"low": 0, "high": 4}, "0 to 1"),
    "reverse_sigmoid": ({"low": 1, "high": 5}, "0 to 1"),
    "double_sigmoid": ({"low": 1, "high": 3, "coef_div": 1, "coef_si": 5, "coef_se": 5}, "0 to 1"),
    "step": ({"low": 1, "high": 3}, "0 or 1"),
    "left_step": ({"low": 3}, "0 or 1"),
    "right_step": ({"high": 1}, "0 or 1"),
}

_MODIFIER = "a modifier, or a list of some to be applied in order"
_PARTS = (
    Ingredient(
        "property",
        "part",
        "A property as it is measured, or modified.",
        {"property": "a property's name", "modifier": f"{_MODIFIER} (none)"},
        "the property's, or the modifier's",
        {"property": "tpsa", "modifier": {"double_sigmoid": {"low": 40, "high": 120}}},
    ),
    Ingredient(
        "count",
        "part",
        "How often a substructure is found, up to 1,000 times.",
        {"count": "a SMARTS", "modifier": f"{_MODIFIER} (none)"},
        _COUNT,
        {"count": "[F,Cl,Br,I]", "modifier": {"left_step": {"low": 2}}},
    ),
    Ingredient(
        "substructure",
        "part",
        "1 for a molecule that holds a substructure, else 0; the other way round with inverse.",
        {"substructure": "a SMARTS", "inverse": "true: 1 for a molecule without it (false)"},
        "0 or 1",
        {"substructure": "[N+](=O)[O-]", "inverse": True},
    ),
    Ingredient(
        "alerts",
        "part",
        "How many structural alerts of RDKit's catalogues are found; none with left_step.",
        {
            "alerts": f"one of {', '.join(CATALOGS)}, or a list of some",
            "modifier": f"{_MODIFIER} (none)",
        },
        _COUNT,
        {"alerts": ["PAINS", "BRENK", "NIH"], "modifier": {"left_step": {"low": 0}}},
    ),
    Ingredient(
        "similarity",
        "part",
        "Tanimoto similarity to a molecule, or to the most similar one of several.",
        {
            "similarity": "a SMILES, or a list of some",
            "fingerprint": f"one of {', '.join(FINGERPRINTS)} (ECFP4)",
            "modifier": f"{_MODIFIER} (none)",
        },
        "0 to 1",
        {
            "similarity": "CC(=O)Oc1ccccc1C(=O)O",
            "fingerprint": "AP",
            "modifier": {"clipped": {"lower": 0, "upper": 0.7}},
        },
    ),
    Ingredient(
        "isomer",
        "part",
        "How near a molecule is to a molecular formula: 1 at its isomers.",
        {"isomer": "a molecular formula"},
        "0 to 1",
        {"isomer": "C7H8N2O2"},
    ),
    Ingredient(
        "oracle",
        "part",
        "An oracle of Practical Molecular Optimization by name.",
        {"oracle": "an oracle's name"},
        "0 to 1",
        {"oracle": "celecoxib_rediscovery"},
    ),
    Ingredient(
        "custom",
        "part",
        "A function of your own, of one RDKit molecule to a number.",
        {"custom": "FILE.py:function or module:function", "modifier": f"{_MODIFIER} (none)"},
        "what it returns, or the modifier's",
        {"custom": "rdkit.Chem.Crippen:MolMR", "modifier": {"sigmoid": {"low": 40, "high": 130}}},
    ),
)

_DRUG = [
    {"property": "weight", "modifier": {"sigmoid": {"low": 100, "high": 400}}},
    {"property": "logp", "modifier": {"gaussian": {"mu": 2.5, "sigma": 1}}},
]
_MEANS = {
    "arithmetic": (Arithmetic, "between the parts' least and greatest"),
    "geometric": (Geometric, "0 and more; the parts must be so too"),
}

#: What the oracles ask for.
_ORACLES = {
    "albuterol_similarity": "Similar to albuterol (FCFP4), fully from 0.75 on.",
    "amlodipine_mpo": "Similar to amlodipine, with three rings.",
    "celecoxib_rediscovery": "Similar to celecoxib (ECFP4): 1 is the molecule itself.",
    "deco_hop": "Another decoration of a kinase inhibitor's scaffold, which is kept.",
    "drd2": "Probability that it is active on the dopamine receptor D2.",
    "fexofenadine_mpo": "Similar to fexofenadine, more polar and less soluble in fat.",
    "gsk3b": "Probability that it is active on the kinase GSK3 beta.",
    "isomers_c7h8n2o2": "Near the formula C7H8N2O2.",
    "isomers_c9h10n2o2pf2cl": "Near the formula C9H10N2O2PF2Cl.",
    "jnk3": "Probability that it is active on the kinase JNK3.",
    "median1": "Similar to camphor and to menthol.",
    "median2": "Similar to tadalafil and to sildenafil.",
    "mestranol_similarity": "Similar to mestranol (atom pairs), fully from 0.75 on.",
    "osimertinib_mpo": "Similar to osimertinib, not too much so, and more polar.",
    "perindopril_mpo": "Similar to perindopril, with two aromatic rings.",
    "qed": "Drug-likeness.",
    "ranolazine_mpo": "Similar to ranolazine, more polar, soluble in fat, with a fluorine.",
    "scaffold_hop": "Another scaffold under a kinase inhibitor's decoration, which is kept.",
    "sitagliptin_mpo": "An isomer of sitagliptin alike in properties and not in structure.",
    "thiothixene_rediscovery": "Similar to thiothixene (ECFP4): 1 is the molecule itself.",
    "troglitazone_rediscovery": "Similar to troglitazone (ECFP4): 1 is the molecule itself.",
    "valsartan_smarts": "Holds valsartan's core and has sitagliptin's properties.",
    "zaleplon_mpo": "Similar to zaleplon, with another formula.",
}


@cache
def ingredients() -> tuple[Ingredient, ...]:
    """Properties, modifiers, parts, means and oracles, in that order."""
    return (*_properties(), *_modifiers(), *_PARTS, *_means(), *_oracles())


def _line(documented: object) -> str:
    """The first paragraph of a docstring, on one line and without markup."""
    text = inspect.getdoc(documented) or ""
    return " ".join(text.split("\n\n")[0].replace(":class:", "").replace("`", "").split())


def _properties() -> Sequence[Ingredient]:
    return [
        Ingredient(
            name,
            "property",
            _LINES.get(name)
            or _line(type(measure) if isinstance(measure, PenalizedLogP) else measure),
            {},
            _RANGES.get(name, _COUNT),
            {"property": name},
        )
        for name, measure in PROPERTIES.items()
    ]


def _modifiers() -> Sequence[Ingredient]:
    found = []
    for name, kind in MODIFIERS.items():
        arguments, values = _MODIFIERS[name]
        example = {"property": "logp", "modifier": {name: arguments}}
        found.append(Ingredient(name, "modifier", _line(kind), _arguments(kind), values, example))
    return found


def _arguments(kind: Any) -> Mapping[str, str]:
    """The numbers a modifier takes, with their defaults."""
    defaults = {field.name: field.default for field in fields(kind)}
    return {
        name: "a number" if default is MISSING else f"a number ({default:g})"
        for name, default in defaults.items()
    }


def _means() -> Sequence[Ingredient]:
    takes = {"weights": "as many numbers above 0 (all equal)"}
    return [
        Ingredient(
            name,
            "mean",
            _line(kind),
            {name: "a list of parts, means and oracles", **takes},
            values,
            {name: _DRUG, "weights": [1, 2]},
        )
        for name, (kind, values) in _MEANS.items()
    ]


def _oracles() -> Sequence[Ingredient]:
    return [
        Ingredient(name, "oracle", _ORACLES[name], {}, "0 to 1", {"oracle": name})
        for name in ORACLES
    ]
