"""Molecules as files: many in one, with pictures of them.

A ``.smi`` and an ``.sdf`` hold the valid molecules only, as other programs expect; whoever wants
the others too has the CSV.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from rdkit import Chem
from rdkit.Chem import rdDepictor

from seqgen_envs.domains.molecule.metrics.measured import MEASURED, describe
from seqgen_envs.domains.molecule.metrics.reference import COMPARED
from seqgen_envs.domains.molecule.metrics.summary import reference
from seqgen_envs.domains.molecule.output.render import GRID_OF, write_grid, write_histograms
from seqgen_envs.domains.molecule.smiles import VOCABULARY, compound_of, quiet
from seqgen_envs.vocabulary import Vocabulary

if TYPE_CHECKING:
    from seqgen_envs.prior import Prior

#: Files of :func:`write_collection`.
SMI, SDF, GRIDS, HISTOGRAMS = (
    "molecules.smi",
    "molecules.sdf",
    ("grid.svg", "grid.png"),
    "histograms.png",
)
_NOT_FIELDS = ("name", "text", "tokens")


def write_collection(
    tokens: NDArray[np.int64],
    folder: Path,
    names: Sequence[str],
    rows: Sequence[Mapping[str, Any]],
    prior: Prior | None = None,
    vocabulary: Vocabulary = VOCABULARY,
    *,
    no_pictures: bool = False,
) -> list[Path]:
    """Write the valid ones of some molecules as ``.smi`` and ``.sdf``, and draw them.

    ``grid.svg`` and ``grid.png`` show the first 64 (where none is valid, of all), and
    ``histograms.png`` the distributions of logP, QED, SA and weight beside a prior's corpus.

    Args:
        tokens: int [N, T], padded with V, N > 0.
        folder: that exists.
        names: of the N sequences.
        rows: what is known of each: fields of the ``.sdf``.
        prior: whose corpus is drawn; None: the default prior.
        vocabulary: of the tokens.
        no_pictures: leave out grids and histograms.

    Raises:
        ValueError: names or rows are not as many as the sequences.
        OSError: a file cannot be written.
    """
    smiles = [vocabulary.to_text(ids) for ids in tokens]
    triples = list(zip(names, smiles, rows, strict=True))
    valid = [triple for triple in triples if compound_of(triple[1]) is not None]
    write_smi(folder / SMI, [(name, text) for name, text, _ in valid])
    write_sdf(folder / SDF, valid)
    if no_pictures:
        return [folder / SMI, folder / SDF]
    drawn = (valid or triples)[:GRID_OF]
    legends = [_legend(name, text) for name, text, _ in drawn]
    for grid in GRIDS:
        write_grid([text for _, text, _ in drawn], folder / grid, legends)
    write_histograms(
        _distributions([text for _, text, _ in valid]),
        folder / HISTOGRAMS,
        reference(getattr(prior, "source", None)),
        f"{len(valid):,} valid of {len(smiles):,} sampled molecules",
    )
    return [folder / name for name in (SMI, SDF, *GRIDS, HISTOGRAMS)]


def write_smi(path: Path, molecules: Sequence[tuple[str, str]]) -> None:
    """Write (name, SMILES) pairs, one a line: the SMILES as it is spelled, a blank, the name."""
    lines = [f"{smiles} {name}\n" for name, smiles in molecules]
    path.write_text("".join(lines), encoding="utf-8")


def write_sdf(path: Path, molecules: Sequence[tuple[str, str, Mapping[str, Any]]]) -> None:
    """Write (name, SMILES, row) triples with coordinates in the plane.

    Fields are the SMILES as it is spelled and the row's finite numbers. A SMILES that is not valid
    is left out.
    """
    with Chem.SDWriter(str(path)) as writer, quiet():
        for name, smiles, row in molecules:
            compound = compound_of(smiles)
            if compound is None:
                continue
            molecule = Chem.Mol(compound.molecule)  # the compound's own is everybody's
            rdDepictor.Compute2DCoords(molecule)
            molecule.SetProp("_Name", name)
            fields = _fields(smiles, row)
            for field, value in fields.items():
                molecule.SetProp(field, value)
            writer.SetProps(list(fields))
            writer.write(molecule)


def _fields(smiles: str, row: Mapping[str, Any]) -> dict[str, str]:
    numbers = {
        name: f"{value:.6g}"
        for name, value in row.items()
        if name not in _NOT_FIELDS and isinstance(value, (int, float)) and math.isfinite(value)
    }
    return {"SMILES": smiles} | numbers


def _legend(name: str, smiles: str) -> str:
    molecule = describe(smiles)
    if molecule is None:
        return f"{name}  invalid"
    values = dict(zip(MEASURED, molecule.values, strict=True))
    return f"{name}  QED {values['qed']:.2f}  logP {values['logp']:.1f}  SA {values['sa']:.1f}"


def _distributions(smiles: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    found = [molecule for molecule in map(describe, smiles) if molecule is not None]
    table = np.array([molecule.values for molecule in found]).reshape(-1, len(MEASURED))
    return {name: table[:, MEASURED.index(name)] for name in COMPARED}
