"""Sequence generation as Gymnasium environments.

``import seqgen_envs`` registers the ids and imports neither PyTorch nor any domain's libraries;
those come with the first environment.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import gymnasium

from seqgen_envs._version import __version__
from seqgen_envs.domain import Domain, get_domain, register_domain, registered_domains

if TYPE_CHECKING:
    from seqgen_envs.checks import check_domain
    from seqgen_envs.env import SequenceEnv
    from seqgen_envs.prior import Prior, RecurrentPrior, load_prior_folder
    from seqgen_envs.rules import ScanRule, Task, Term
    from seqgen_envs.vector_env import SequenceVectorEnv
    from seqgen_envs.vocabulary import Vocabulary

__all__ = [
    "Domain",
    "Prior",
    "RecurrentPrior",
    "ScanRule",
    "SequenceEnv",
    "SequenceVectorEnv",
    "Task",
    "Term",
    "Vocabulary",
    "__version__",
    "check_domain",
    "get_domain",
    "load_prior_folder",
    "register_domain",
    "register_env",
    "registered_domains",
]

#: Oracles of Practical Molecular Optimization (Gao et al. 2022), as the ids spell them.
PMO_IDS = {
    "AlbuterolSimilarity": "albuterol_similarity",
    "AmlodipineMPO": "amlodipine_mpo",
    "CelecoxibRediscovery": "celecoxib_rediscovery",
    "DecoHop": "deco_hop",
    "DRD2": "drd2",
    "FexofenadineMPO": "fexofenadine_mpo",
    "GSK3B": "gsk3b",
    "IsomersC7H8N2O2": "isomers_c7h8n2o2",
    "IsomersC9H10N2O2PF2Cl": "isomers_c9h10n2o2pf2cl",
    "JNK3": "jnk3",
    "Median1": "median1",
    "Median2": "median2",
    "MestranolSimilarity": "mestranol_similarity",
    "OsimertinibMPO": "osimertinib_mpo",
    "PerindoprilMPO": "perindopril_mpo",
    "QED": "qed",
    "RanolazineMPO": "ranolazine_mpo",
    "ScaffoldHop": "scaffold_hop",
    "SitagliptinMPO": "sitagliptin_mpo",
    "ThiothixeneRediscovery": "thiothixene_rediscovery",
    "TroglitazoneRediscovery": "troglitazone_rediscovery",
    "ValsartanSMARTS": "valsartan_smarts",
    "ZaleplonMPO": "zaleplon_mpo",
}

_HOMES = {
    "checks": ("check_domain",),
    "env": ("SequenceEnv",),
    "prior": ("Prior", "RecurrentPrior", "load_prior_folder"),
    "rules": ("ScanRule", "Task", "Term"),
    "vector_env": ("SequenceVectorEnv",),
    "vocabulary": ("Vocabulary",),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name in _HOME_OF:
        return getattr(importlib.import_module(f"{__name__}.{_HOME_OF[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def register_env(env_id: str, domain: str, **defaults: Any) -> None:
    """Register a Gymnasium id, native vector environment included.

    Args:
        env_id: such as ``"MelodyGen-v0"``.
        domain: a name known to :func:`register_domain`.
        defaults: further keyword arguments of :class:`~seqgen_envs.env.SequenceEnv`.
    """
    gymnasium.register(
        env_id,
        entry_point="seqgen_envs.env:SequenceEnv",
        vector_entry_point="seqgen_envs.vector_env:SequenceVectorEnv",
        kwargs={"domain": domain, **defaults},
    )


register_domain("toy", "seqgen_envs.domains.toy:DOMAIN")
register_domain("melody", "seqgen_envs.domains.melody:DOMAIN")

register_env("ToyGen-v0", domain="toy")
register_env("MelodyGen-v0", domain="melody")

register_domain("molecule", "seqgen_envs.domains.molecule:DOMAIN")

register_env("MoleculeGen-v0", domain="molecule")
# Scores within 0..1 and single properties need a small c to count beside log p of 30 nats.
register_env("MoleculeGen-QED-v0", domain="molecule", task="qed", c=0.05)
register_env("MoleculeGen-PenalizedLogP-v0", domain="molecule", task="penalized-logp")
for _name, _oracle in PMO_IDS.items():
    register_env(f"PMO-{_name}-v0", domain="molecule", task=f"pmo/{_oracle}", c=0.05)
