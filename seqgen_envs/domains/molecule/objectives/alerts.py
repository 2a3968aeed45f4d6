"""Structural alerts: substructures that chemists avoid, by RDKit's catalogues of them.

``PAINS`` (Baell and Holloway 2010: compounds that disturb assays), ``BRENK`` (Brenk et al. 2008:
reactive, toxic or unstable groups), ``NIH`` (Jadhav et al. 2010; Doveston et al. 2015), ``ZINC``
(drug-likeness), and the sets of the ChEMBL database, each by its own name or all by ``CHEMBL``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from rdkit import Chem
from rdkit.Chem.FilterCatalog import FilterCatalog, FilterCatalogParams

#: Names of RDKit's catalogues.
CATALOGS = tuple(FilterCatalogParams.FilterCatalogs.names)
DEFAULT_CATALOGS = ("PAINS", "BRENK")


@dataclass(frozen=True)
class AlertCount:
    """How many structural alerts a molecule has: a property.

    Args:
        catalogs: one name of :data:`CATALOGS`, or several.

    Raises:
        ValueError: there is none of that name.
    """

    catalogs: str | Sequence[str] = DEFAULT_CATALOGS

    def __post_init__(self) -> None:
        given = [self.catalogs] if isinstance(self.catalogs, str) else self.catalogs
        if not isinstance(given, Sequence) or not given:
            raise ValueError(f"alerts need one catalogue or a list of some, got {given!r}")
        for name in given:
            if name not in CATALOGS:
                raise ValueError(
                    f"unknown catalogue of alerts {name!r}; expected one of {', '.join(CATALOGS)}"
                )
        object.__setattr__(self, "catalogs", tuple(dict.fromkeys(given)))

    def __call__(self, molecule: Chem.Mol) -> float:
        """The number of alerts, each counted once."""
        return float(len(_catalog(tuple(self.catalogs)).GetMatches(molecule)))


def alerts(molecule: Chem.Mol) -> float:
    """Structural alerts of the catalogues PAINS and BRENK, each counted once."""
    return _count(molecule)


_count = AlertCount()


@cache
def _catalog(names: tuple[str, ...]) -> FilterCatalog:
    parameters = FilterCatalogParams()
    for name in names:
        parameters.AddCatalog(FilterCatalogParams.FilterCatalogs.names[name])
    return FilterCatalog(parameters)
