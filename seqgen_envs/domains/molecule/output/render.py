"""Molecules to look at: text, pixels, grids and histograms.

:func:`render_text` and :func:`render_image` are the environment's render modes. Everything is drawn
by RDKit's and matplotlib's own painters: no display, no global state.
"""

from __future__ import annotations

import io
import math
import os
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from rdkit import Chem
from rdkit.Chem import rdMolDescriptors
from rdkit.Chem.Draw import rdMolDraw2D

from seqgen_envs.domains.molecule.metrics.reference import COMPARED, CorpusReference
from seqgen_envs.domains.molecule.objectives.properties import weight
from seqgen_envs.domains.molecule.output.broken import Sketch, sketch
from seqgen_envs.domains.molecule.smiles import VOCABULARY, quiet
from seqgen_envs.vocabulary import Vocabulary

#: Pixels of :func:`render_image`.
WIDTH, HEIGHT = 480, 400
_CAPTION = 80
#: Panels of a grid: their size in pixels, and how many stand in a row.
PANEL_WIDTH, PANEL_HEIGHT, COLUMNS = 290, 220, 6
#: Most molecules in a grid.
GRID_OF = 64

_INK, _GREY, _GREEN, _RED, _AMBER = "#22262e", "#7c869b", "#1a7f4b", "#c0392b", "#b26a00"
_OURS, _CORPUS = "#4c8bf5", "#22262e"
_LABELS = {"logp": "logP", "qed": "QED", "sa": "SA score", "weight": "weight (g/mol)"}
_BINS = 40


def render_text(ids: ArrayLike | Sequence[Any], vocabulary: Vocabulary = VOCABULARY) -> str:
    """The SMILES so far, and what it is: formula and weight, or what is open or wrong.

    Args:
        ids: token ids, shape [n].
        vocabulary: of the ids.

    Raises:
        ValueError: an id outside 0..V.
    """
    smiles, finished = _read(ids, vocabulary)
    return f"{smiles}\n{_status(sketch(smiles), finished)}"


def render_image(
    ids: ArrayLike | Sequence[Any], horizon: int, vocabulary: Vocabulary = VOCABULARY
) -> NDArray[np.uint8]:
    """The molecule in pixels, its SMILES below, and how much of the horizon is used.

    A prefix is drawn with its branches closed and its open rings left open; so is a SMILES that
    is not valid, as far as it can be read.

    Args:
        ids: token ids of a prefix, shape [n].
        horizon: T.
        vocabulary: of the ids.

    Returns:
        RGB pixels, uint8 [400, 480, 3].

    Raises:
        ValueError: an id outside 0..V.
    """
    from PIL import Image, ImageDraw

    smiles, finished = _read(ids, vocabulary)
    drawn = sketch(smiles)
    canvas = Image.new("RGB", (WIDTH, HEIGHT), "white")
    if drawn.molecule is not None:
        png = _paint([drawn.molecule], [""], (WIDTH, HEIGHT - _CAPTION), 1, svg=False)
        canvas.paste(Image.open(io.BytesIO(png)).convert("RGB"), (0, 0))
    pen = ImageDraw.Draw(canvas)
    top = HEIGHT - _CAPTION
    colour = _GREEN if drawn.valid else _RED if finished else _AMBER
    (status, *_) = _wrapped(_status(drawn, finished), 58, 1)
    pen.text((10, top + 2), status, fill=colour, font=_font(13))
    for row, line in enumerate(_wrapped(smiles, 66, 3)):
        pen.text((10, top + 21 + 16 * row), line, fill=_INK, font=_font(11))
    used = min(int((np.asarray(ids) < vocabulary.size).sum()) / max(horizon, 1), 1.0)
    pen.rectangle((0, HEIGHT - 6, WIDTH, HEIGHT), fill="#e8eaef")
    if used:
        pen.rectangle((0, HEIGHT - 6, round(used * WIDTH), HEIGHT), fill=colour)
    return np.asarray(canvas, dtype=np.uint8).copy()


def write_grid(
    smiles: Sequence[str],
    path: str | os.PathLike[str],
    legends: Sequence[str] | None = None,
    columns: int = COLUMNS,
) -> None:
    """Draw molecules in rows, as an SVG or a PNG by the path's suffix.

    Args:
        smiles: what to draw, one a panel; an invalid one is drawn as far as it can be read.
        path: the file to write; .svg or .png.
        legends: a line of text below each.
        columns: panels in a row, at least 1.

    Raises:
        ValueError: another suffix, no molecules, or a legend is missing.
        OSError: the file cannot be written.
    """
    path = Path(path)
    if path.suffix.lower() not in (".svg", ".png"):
        raise ValueError(f"a grid is written as .svg or .png, not as {path.name}")
    texts = [""] * len(smiles) if legends is None else list(legends)
    if not smiles or len(texts) != len(smiles) or columns < 1:
        raise ValueError(
            f"need at least one molecule, a legend for each and a column, got {len(smiles)}, "
            f"{len(texts)} and {columns}"
        )
    molecules = [sketch(text).molecule or Chem.Mol() for text in smiles]
    columns = min(columns, len(molecules))
    size = (PANEL_WIDTH, PANEL_HEIGHT)
    path.write_bytes(_paint(molecules, texts, size, columns, svg=path.suffix.lower() == ".svg"))


def draw_svg(smiles: str) -> str:
    """One molecule as an SVG element on a transparent ground; an invalid one as far as it is read.

    Atoms' labels are text in the reader's own font, which keeps the drawing at a few kilobytes.
    """
    drawer = rdMolDraw2D.MolDraw2DSVG(PANEL_WIDTH, PANEL_HEIGHT, noFreetype=True)
    options: Any = drawer.drawOptions()  # its stubs call every option a MolDrawOptions
    options.clearBackground = False
    options.includeMetadata = False
    options.prepareMolsBeforeDrawing = False
    options.fixedBondLength = 40.0
    options.padding = 0.06
    with quiet():
        drawer.DrawMolecule(_prepared(sketch(smiles).molecule or Chem.Mol()))
    drawer.FinishDrawing()
    text = drawer.GetDrawingText()
    return text[text.index("<svg") :]


def write_histograms(
    values: Mapping[str, ArrayLike],
    path: str | os.PathLike[str],
    corpus: CorpusReference,
    title: str = "",
) -> None:
    """Draw how logP, QED, SA and weight of some molecules are distributed, as a PNG.

    Bars are the molecules, the line is the corpus's held-out split; above each stands the
    Wasserstein-1 distance of the two, in the property's units.

    Args:
        values: by the names of :data:`~.metrics.reference.COMPARED`: [n], NaN left out.
        path: the PNG file to write.
        corpus: what to compare with.
        title: drawn above all.

    Raises:
        KeyError: a property is missing.
        OSError: the file cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 6), layout="constrained")
    FigureCanvasAgg(figure)
    for name, axes in zip(COMPARED, figure.subplots(2, 2).flat, strict=True):
        numbers = np.asarray(values[name], dtype=np.float64)
        _draw_histogram(axes, name, numbers[np.isfinite(numbers)], corpus)
    figure.suptitle(title, fontsize=11)
    figure.savefig(path, format="png", dpi=130)


def _draw_histogram(
    axes: Any, name: str, numbers: NDArray[np.float64], corpus: CorpusReference
) -> None:
    quantiles = corpus.quantiles["held_out"][name]
    inner = quantiles[[5, -6]]  # half a percent at either end of the corpus is not shown
    low, high = min([inner[0], *numbers]), max([inner[1], *numbers])
    edges = np.linspace(low, high if high > low else low + 1, _BINS + 1)
    cumulative = np.interp(edges, quantiles, np.linspace(0, 1, len(quantiles)))
    widths = np.diff(edges)
    found = f"sampled ({len(numbers):,})"
    if numbers.size:
        weights = np.full(len(numbers), 1 / len(numbers) / widths[0])
        axes.hist(numbers, edges, weights=weights, color=_OURS, alpha=0.55, label=found)
        distance = f"distance {corpus.distance(name, numbers):.3g}"
    else:
        axes.plot([], [], color=_OURS, label=found)
        distance = "nothing to compare"
    axes.stairs(
        np.diff(cumulative) / widths, edges, color=_CORPUS, linewidth=1.2,
        label=f"held out ({corpus.counts['held_out']:,})",
    )  # fmt: skip
    axes.set_xlabel(_LABELS[name], fontsize=9)
    axes.set_title(distance, fontsize=9, loc="right", color=_GREY)
    axes.set_yticks([])
    axes.tick_params(labelsize=8)
    axes.margins(x=0)
    axes.legend(fontsize=8, frameon=False)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)


def _read(ids: ArrayLike | Sequence[Any], vocabulary: Vocabulary) -> tuple[str, bool]:
    """The SMILES of a prefix, and whether the end token stands at its end."""
    array = np.asarray(ids)
    return vocabulary.to_text(array), bool((array == vocabulary.end_id).any())


def _status(drawn: Sketch, finished: bool) -> str:
    """One line: what the molecule is, or what is open or wrong."""
    molecule = drawn.molecule
    if not drawn.valid or molecule is None:
        return f"{'invalid' if finished else 'unfinished'}: {drawn.problem}"
    formula = rdMolDescriptors.CalcMolFormula(molecule)
    return f"{'valid' if finished else 'valid so far'}: {formula}, {weight(molecule):.1f} g/mol"


def _paint(
    molecules: Sequence[Chem.Mol],
    legends: Sequence[str],
    size: tuple[int, int],
    columns: int,
    *,
    svg: bool,
) -> bytes:
    """Panels of ``size`` pixels in rows."""
    width, height = size
    rows = math.ceil(len(molecules) / columns)
    painter = rdMolDraw2D.MolDraw2DSVG if svg else rdMolDraw2D.MolDraw2DCairo
    drawer = painter(width * columns, height * rows, width, height)
    options: Any = drawer.drawOptions()  # its stubs call every option a MolDrawOptions
    options.includeMetadata = False  # the same molecules, the same file
    options.prepareMolsBeforeDrawing = False
    options.drawMolsSameScale = False
    options.fixedBondLength = 40.0  # the longest; larger molecules shrink
    options.maxFontSize = 20
    options.legendFontSize = 13
    options.legendFraction = 0.12
    options.padding = 0.06
    with quiet():
        drawer.DrawMolecules([_prepared(m) for m in molecules], legends=list(legends))
    drawer.FinishDrawing()
    text = drawer.GetDrawingText()
    return text.encode() if isinstance(text, str) else text


def _prepared(molecule: Chem.Mol) -> Chem.Mol:
    """With coordinates and Kekulé bonds; one whose chemistry is wrong keeps its bonds as read."""
    try:
        return rdMolDraw2D.PrepareMolForDrawing(molecule)
    except Exception:  # RDKit has many kinds for what cannot be kekulised
        return rdMolDraw2D.PrepareMolForDrawing(
            molecule, kekulize=False, addChiralHs=False, wavyBonds=False
        )


def _wrapped(text: str, width: int, lines: int) -> list[str]:
    """The text in lines of ``width`` characters; dots stand for what does not fit."""
    parts = [text[start : start + width] for start in range(0, len(text), width)]
    return [*parts[: lines - 1], parts[lines - 1][: width - 3] + "..."] if parts[lines:] else parts


@lru_cache(maxsize=4)
def _font(size: int) -> Any:
    """A fixed-width font that comes with matplotlib."""
    import matplotlib
    from PIL import ImageFont

    fonts = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    return ImageFont.truetype(str(fonts / "DejaVuSansMono.ttf"), size)
