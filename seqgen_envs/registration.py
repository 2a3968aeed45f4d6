"""The names of domains, and the ids that ``gym.make`` knows.

A domain of another package is found by its name through the entry-point group ``seqgen.domains``
(name -> a :class:`~seqgen_envs.domain.Domain`, or a function without arguments that returns one),
loaded on first use; or by a reference, ``"module:attribute"`` or ``"FILE.py:attribute"``. Its
module calls :func:`register_env` for its ids; ``gym.make("module:Id-v0")`` imports the module
first, and so do the commands for every domain with an entry point.
"""

from __future__ import annotations

import difflib
import logging
import sys
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import gymnasium

from seqgen_envs.domain import Domain, load_domain
from seqgen_envs.loading import (
    UntrustedCodeError,
    check_trusted,
    from_installation,
    is_reference,
    load_module,
    texts_in,
)

logger = logging.getLogger(__name__)

DOMAINS_GROUP = "seqgen.domains"

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


#: Domains, or where they are ("module:attribute"), by name.
_REGISTRY: dict[str, Domain | str] = {}


def register_domain(name: str, domain: Domain | str) -> None:
    """Make ``domain`` known as ``name``.

    Args:
        name: what environments and commands call it.
        domain: the object, or ``"module:attribute"`` where it is imported on first use.

    Raises:
        ValueError: the name is taken by another domain.
    """
    known = _REGISTRY.setdefault(name, domain)
    if known != domain and _resolved(known) is not _resolved(domain):
        raise ValueError(f"a domain named {name!r} is already registered")


def _resolved(domain: Domain | str) -> Domain:
    return load_domain(domain) if isinstance(domain, str) else domain


def get_domain(name: str | Domain) -> Domain:
    """The domain of that name: a registered one, one with an entry point, or a reference.

    A :class:`~seqgen_envs.domain.Domain` is returned as it is.

    Raises:
        ValueError: no domain has that name (the message lists those there are), or there is none
            where the reference says.
        ImportError: a named domain cannot be imported, such as for want of a library.
    """
    if isinstance(name, Domain):
        return name
    home = _REGISTRY.get(name) or _home_of_plugin(name)
    if isinstance(home, Domain):
        return home
    if home is None:
        if is_reference(name):
            return load_domain(name)
        raise ValueError(f"unknown domain {name!r}; registered: {registered_domains()}")
    try:
        with from_installation():
            return load_domain(home)
    except ValueError as error:
        raise ImportError(f"domain {name!r} is not available: {error}") from error


def registered_domains() -> list[str]:
    """Names of all domains that are registered or have an entry point, sorted."""
    return sorted(_REGISTRY.keys() | {entry.name for entry in _plugins()})


def _plugins() -> list[EntryPoint]:
    return sorted(entry_points(group=DOMAINS_GROUP), key=lambda entry: (entry.name, entry.value))


def _home_of_plugin(name: str) -> str | None:
    return next((entry.value for entry in _plugins() if entry.name == name), None)


def load_plugins() -> None:
    """Import the domains of other packages, so that their ids are registered.

    One that cannot be imported is logged as a warning and left out.
    """
    for entry in _plugins():
        try:
            get_domain(entry.name)
        except ImportError as error:
            logger.warning("%s", error)


def check_id(env_id: str) -> None:
    """Make sure that ``gym.make`` knows an id.

    Args:
        env_id: such as ``"MelodyGen-v0"``; ``"module:Id-v0"`` imports the module first.

    Raises:
        ValueError: it does not; the message names the nearest id.
    """
    module, colon, name = env_id.rpartition(":")
    if colon:
        if module not in sys.modules:  # what is imported already runs nothing more
            check_trusted(env_id, "environment")
        load_module(module, f"environment {env_id!r}")
    if name not in gymnasium.registry:
        load_plugins()
    if name not in gymnasium.registry:
        versions = sorted(known for known in gymnasium.registry if known.startswith(f"{name}-v"))
        near = versions or difflib.get_close_matches(name, gymnasium.registry, n=1, cutoff=0.4)
        hint = f"; did you mean {near[-1]!r}?" if near else ""
        raise ValueError(f"there is no environment {env_id!r}{hint} (`seqgen envs` lists them)")


def check_environment(env_id: str, env_kwargs: Mapping[str, Any]) -> None:
    """Refuse an environment that a file describes, if it names code that is not trusted.

    The task is made for it, in part at least: only the domain knows which of its words are code.
    What else is wrong with it is left to whoever makes the environment.

    Raises:
        UntrustedCodeError: see :func:`~seqgen_envs.loading.check_trusted`.
    """
    if not any(":" in text for text in texts_in([env_id, dict(env_kwargs)])):
        return  # no reference, family or file: nothing that could lead to code
    try:
        check_id(env_id)
        registered = gymnasium.spec(env_id.rpartition(":")[2]).kwargs
        domain = get_domain(env_kwargs.get("domain", registered.get("domain")))
        domain.for_prior(env_kwargs.get("prior")).make_task(env_kwargs.get("task"))
    except UntrustedCodeError:
        raise
    except Exception:
        return


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


def register_all() -> None:
    """Register what comes with the package; calling it again changes nothing."""
    for name in ("toy", "melody", "names", "molecule", "text"):
        register_domain(name, f"seqgen_envs.domains.{name}:DOMAIN")
    register_env("ToyGen-v0", domain="toy")
    register_env("MelodyGen-v0", domain="melody")
    # Its optimum is known exactly: a prior of few states, and rules that remember little.
    register_env("MelodyGen-Bigram-v0", domain="melody", prior="bigram", task="local", c=1.0)
    register_env("NameGen-v0", domain="names")
    register_env("NameGen-Trigram-v0", domain="names", prior="trigram", c=0.25)
    register_env("TextGen-v0", domain="text")
    register_env("MoleculeGen-v0", domain="molecule")
    # Scores within 0..1 and single properties need a small c to count beside log p of 30 nats.
    register_env("MoleculeGen-QED-v0", domain="molecule", task="qed", c=0.05)
    register_env("MoleculeGen-PenalizedLogP-v0", domain="molecule", task="penalized-logp")
    for name, oracle in PMO_IDS.items():
        register_env(f"PMO-{name}-v0", domain="molecule", task=f"pmo/{oracle}", c=0.05)
