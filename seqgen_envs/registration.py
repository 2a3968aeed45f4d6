"""The ids that ``gym.make`` knows, and the domains behind them."""

from __future__ import annotations

import difflib
import importlib
from typing import Any

import gymnasium

from seqgen_envs.domain import register_domain

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


def check_id(env_id: str) -> None:
    """Raise a ValueError unless ``env_id`` is registered, version included; it names the nearest.

    The module of ``"module:Id-v0"`` is imported.
    """
    module, colon, name = env_id.rpartition(":")
    if colon:
        try:
            importlib.import_module(module)
        except ImportError as error:
            raise ValueError(f"{env_id}: module {module!r} cannot be imported: {error}") from error
    if name in gymnasium.registry:
        return
    versions = [known for known in gymnasium.registry if known.rpartition("-v")[0] == name]
    nearest = versions[-1:] or difflib.get_close_matches(name, gymnasium.registry, n=1)
    meant = f"did you mean {nearest[0]}? " if nearest else ""
    raise ValueError(f"there is no environment {name!r}; {meant}`seqgen envs` lists them all")


def register_all() -> None:
    """Register what comes with the package; calling it again changes nothing."""
    for name in ("toy", "melody", "molecule"):
        register_domain(name, f"seqgen_envs.domains.{name}:DOMAIN")
    register_env("ToyGen-v0", domain="toy")
    register_env("MelodyGen-v0", domain="melody")
    register_env("MoleculeGen-v0", domain="molecule")
    # Scores within 0..1 and single properties need a small c to count beside log p of 30 nats.
    register_env("MoleculeGen-QED-v0", domain="molecule", task="qed", c=0.05)
    register_env("MoleculeGen-PenalizedLogP-v0", domain="molecule", task="penalized-logp")
    for name, oracle in PMO_IDS.items():
        register_env(f"PMO-{name}-v0", domain="molecule", task=f"pmo/{oracle}", c=0.05)
