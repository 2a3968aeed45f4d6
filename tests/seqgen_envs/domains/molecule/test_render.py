"""Pictures of molecules: what is in them, and that nothing a policy writes breaks them."""

import itertools

import numpy as np
import pytest
from matplotlib.image import imread
from rdkit import Chem

from seqgen_envs.domains.molecule.metrics.reference import COMPARED, CorpusReference
from seqgen_envs.domains.molecule.metrics.summary import DEFAULT_REFERENCE
from seqgen_envs.domains.molecule.output.broken import Structure, sketch
from seqgen_envs.domains.molecule.output.render import (
    HEIGHT,
    WIDTH,
    render_image,
    render_text,
    write_grid,
    write_histograms,
)
from seqgen_envs.domains.molecule.smiles import VOCABULARY, encode, tokenize

ASPIRIN = "CC(=O)Oc1ccccc1C(=O)O"


def ended(smiles):
    return np.append(encode(smiles), VOCABULARY.end_id)


def ink(picture):
    """Pixels of the molecule's part of a picture that are not white."""
    return int((picture[: HEIGHT - 90] < 230).any(axis=2).sum())


# --- strings as molecules ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("smiles", "closed", "problem"),
    [
        ("CC(=O", "CC(=O)", "1 branch open"),
        ("CC(C(C", "CC(C(C))", "2 branches open"),
        ("c1ccc2c(c1", "c1cccc(c1)", "1 branch and ring 2 open"),
        ("C1CC2C=3", "CCCC", None),
        ("C[C@H](N)C(=", "C[C@H](N)C", "an atom is missing"),
        ("C%12CC%13(", "CCC", "rings %12, %13 open; an atom is missing"),
        ("C)C", "C)C", "a ) without ("),
        ("C1CC1", "C1CC1", ""),
        ("", "", ""),
    ],
)
def test_what_a_string_leaves_open(smiles, closed, problem):
    structure = Structure.of(tokenize(smiles))
    assert structure.closed() == closed
    if problem is not None:
        assert structure.problem == problem


@pytest.mark.parametrize(
    ("smiles", "valid", "problem", "drawn"),
    [
        (ASPIRIN, True, "", ASPIRIN),
        ("CC(=O", False, "1 branch open", "CC=O"),
        ("c1ccc2c(c1", False, "1 branch and ring 2 open", "c1ccccc1"),
        ("C(C)(C)(C)(C)C", False, "too many bonds at C (atom 1)", "CC(C)(C)(C)C"),
        ("c1cccc1", False, "an aromatic ring without a Kekulé structure", "c1cccc1"),
        ("CCc", False, "an aromatic atom outside a ring", "CCc"),
        ("CC()CN", False, "not a SMILES", "CC"),
        ("C)C", False, "a ) without (", "C"),
        ("", False, "empty", None),
        ("=", False, "an atom is missing", None),
    ],
)
def test_sketches(smiles, valid, problem, drawn):
    found = sketch(smiles)
    assert (found.valid, found.problem) == (valid, problem)
    if drawn is None:
        assert found.molecule is None
    else:
        assert Chem.MolToSmiles(found.molecule) == drawn


def test_a_megabyte_is_not_parsed():
    assert sketch("C" * 1_000_000) == (None, False, "1,000,000 characters")


# --- text --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("ids", "text"),
    [
        (ended(ASPIRIN), f"{ASPIRIN}\nvalid: C9H8O4, 180.2 g/mol"),
        (encode("CC"), "CC\nvalid so far: C2H6, 30.1 g/mol"),
        (encode("CC("), "CC(\nunfinished: an atom is missing"),
        (ended("C1CC"), "C1CC\ninvalid: ring 1 open"),
        (encode(""), "\nunfinished: empty"),
    ],
)
def test_text(ids, text):
    assert render_text(ids) == text
    padded = np.append(ids, [VOCABULARY.pad_id] * 3)
    assert render_text(padded) == text


def test_an_id_outside_the_vocabulary_is_refused():
    for draw in (render_text, lambda ids: render_image(ids, 10)):
        with pytest.raises(ValueError, match="outside"):
            draw([VOCABULARY.size + 1])


# --- pixels ------------------------------------------------------------------------------------


def test_every_prefix_has_a_picture_of_the_same_size():
    ids = ended(ASPIRIN)
    pictures = [render_image(ids[:n], 30) for n in range(len(ids) + 1)]
    for picture in pictures:
        assert picture.shape == (HEIGHT, WIDTH, 3)
        assert picture.dtype == np.uint8
        assert picture.flags.writeable
    assert ink(pictures[0]) == 0
    assert ink(pictures[-1]) > 3 * ink(pictures[1]) > 0
    assert all(ink(picture) for picture in pictures[1:])
    for before, after in itertools.pairwise(pictures):
        assert (before != after).any()


def test_the_bar_is_the_used_part_of_the_horizon():
    for tokens, horizon in ((5, 10), (5, 20), (20, 20)):
        line = render_image(encode("C" * tokens), horizon)[-2]
        filled = (line != line[-1]).any(axis=1).sum() if tokens < horizon else WIDTH
        assert filled == pytest.approx(WIDTH * tokens / horizon, abs=2)


def test_colours_tell_valid_from_invalid():
    colours = {
        tuple(render_image(ids, 10)[-2, 5])
        for ids in (ended("CC"), ended("C("), encode("C("), encode("CC"))
    }
    assert len(colours) == 3


def test_an_invalid_molecule_is_drawn_as_far_as_it_can_be_read():
    assert ink(render_image(ended("C(C)(C)(C)(C)CCc1ccc"), 30)) > 200
    assert ink(render_image(ended(")"), 30)) == 0


def test_random_tokens_never_break_a_picture():
    rng = np.random.default_rng(1)
    for _ in range(40):
        ids = rng.integers(0, VOCABULARY.size, rng.integers(1, 60))
        ids = np.where(ids == VOCABULARY.end_id, 0, ids)
        assert render_image(ids, 60).shape == (HEIGHT, WIDTH, 3)
        assert render_text(ids).count("\n") == 1


# --- grids and plots ---------------------------------------------------------------------------


def test_grids_hold_molecules_and_legends(tmp_path):
    smiles = [ASPIRIN, "c1ccccc1", "C1CC", ")"]
    write_grid(smiles, tmp_path / "g.svg", ["aspirin", "benzene", "open", "none"], columns=3)
    svg = (tmp_path / "g.svg").read_text()
    assert svg.lstrip().startswith("<?xml")
    assert svg.count("class='legend'") >= len("aspirinbenzene")  # glyphs are paths
    write_grid(smiles, tmp_path / "g.png", columns=3)
    picture = imread(tmp_path / "g.png")
    assert picture.shape[0] * 3 == pytest.approx(picture.shape[1] * 2 * 220 / 290, rel=0.01)
    panels = picture.reshape(2, picture.shape[0] // 2, 3, picture.shape[1] // 3, -1)[..., :3]
    filled = (panels < 0.9).any(axis=(1, 3, 4))
    np.testing.assert_array_equal(filled, [[True, True, True], [False, False, False]])
    write_grid(smiles, tmp_path / "again.png", columns=3)
    assert (tmp_path / "again.png").read_bytes() == (tmp_path / "g.png").read_bytes()


@pytest.mark.parametrize(
    ("smiles", "name", "options", "message"),
    [
        (["C"], "g.pdf", {}, "as .svg or .png, not as g.pdf"),
        ([], "g.svg", {}, "at least one molecule"),
        (["C", "N"], "g.svg", {"legends": ["one"]}, "a legend for each"),
        (["C"], "g.svg", {"columns": 0}, "a column"),
    ],
)
def test_what_is_no_grid(tmp_path, smiles, name, options, message):
    with pytest.raises(ValueError, match=message):
        write_grid(smiles, tmp_path / name, **options)
    assert not list(tmp_path.iterdir())


def test_histograms_show_the_values_beside_the_corpus(tmp_path):
    reference = CorpusReference.load(DEFAULT_REFERENCE)
    rng = np.random.default_rng(0)
    near = {name: rng.choice(reference.quantiles["held_out"][name], 500) for name in COMPARED}
    far = {name: values + 5 for name, values in near.items()}
    gaps = {name: np.append(values, np.nan) for name, values in near.items()}
    pictures = {}
    for stem, values in {"near": near, "far": far, "gaps": gaps}.items():
        write_histograms(values, tmp_path / f"{stem}.png", reference, "same title")
        pictures[stem] = imread(tmp_path / f"{stem}.png")
    assert pictures["near"].shape[:2] == (780, 1170)
    assert (pictures["near"] != pictures["far"]).any()
    np.testing.assert_array_equal(pictures["near"], pictures["gaps"])
    nothing = {name: np.zeros(0) for name in COMPARED}
    write_histograms(nothing, tmp_path / "none.png", reference)
    with pytest.raises(KeyError, match="weight"):
        write_histograms(dict(list(near.items())[:3]), tmp_path / "x.png", reference)
