"""Tasks of verse: what lines and texts earn, worked by hand, and what is refused."""

import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from seqgen_envs.domains.text import DOMAIN
from seqgen_envs.rules import score_sequences
from seqgen_envs.vocabulary import Vocabulary

#: Single characters, and a newline with a letter after it in one token.
LETTERS = Vocabulary((*"\n abcdefghijklmnopqrstuvwxyz',.", "\no", "<end>"), "<end>", "")
VERSE = DOMAIN.with_vocabulary(LETTERS)
SEE = "so long as men can breathe or eyes can see\n"
THEE = "so long lives this and this gives life to thee"
WHOLE = {"syllables": 2, "metre": 2, "rhyme": 2, "repeats": 0, "words": 0, "lines": 1}


def ids_of(text, end=True):
    return [*VERSE.to_ids(text), *([LETTERS.end_id] if end else [])]


def steps(task, text, end=True, horizon=200):
    """What each term earns at each token, [T, terms]; the horizon ends it where not ``end``."""
    ids = ids_of(text, end)
    row = LETTERS.padded([ids], horizon if end else len(ids))
    return score_sequences(VERSE.make_task(task), row, [len(ids)])[0, : len(ids)]


def earned(task, text, end=True):
    """What each term earns in all, without its weight."""
    made = VERSE.make_task(task)
    totals = steps(task, text, end).sum(axis=0)
    return {term.name: total / term.weight for term, total in zip(made.terms, totals, strict=True)}


def made(**others):
    return WHOLE | {"rhyme": 1} | others


# -- forms ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (SEE + THEE, made()),
        (SEE + THEE + "\n", made()),  # a newline at the end begins no line
        # one line: five syllables of ten too few, so 0; its first two feet scan
        ("shall i compare thee", made(syllables=0, metre=0.4, rhyme=0, lines=0)),
        # nine syllables; a foot that is missing does not scan; can is there four times
        (
            SEE + "so long as men can breathe or can see",
            made(syllables=1.8, metre=1.8, rhyme=0, repeats=-0.5),
        ),
        # an end alike: t of the two phones of night's EY/AY T, and half of that
        (SEE.replace("see", "night") + THEE.replace("thee", "fate"), made(rhyme=0.25)),
        # a third line earns nothing, and pays for repeats: this and can were there twice already
        (SEE + THEE + "\nday", made(lines=0)),
        (SEE + THEE + "\nthis this can can", made(lines=0, repeats=-1)),
        # two of three words are unknown, in a line of its own
        (SEE + "zorbleth the morbleth", made(syllables=1, metre=1.4, rhyme=0, words=-2 / 3)),
        # a line without words: nothing scans, and there are no words that are known
        (SEE, made(syllables=1, metre=1, rhyme=0, lines=0)),
        (SEE + "\n", made(syllables=1, metre=1, rhyme=0, words=-1)),
        ("", made(syllables=0, metre=0, rhyme=0, lines=-1)),
    ],
)
def test_couplets(text, expected):
    assert earned("couplet", text) == pytest.approx(expected)


def test_what_the_horizon_cuts_off():
    assert earned("couplet", SEE + THEE, end=False) == pytest.approx(made(lines=-1))


def test_a_line_pays_where_it_is_complete():
    paid = steps("couplet", SEE + THEE)
    names = VERSE.make_task("couplet").names
    newline, end = SEE.index("\n"), len(SEE + THEE)
    assert np.flatnonzero(paid[:, names.index("metre")]).tolist() == [newline, end]
    assert np.flatnonzero(paid[:, names.index("rhyme")]).tolist() == [end]
    assert paid[end, names.index("rhyme")] == 2.0  # its weight
    assert np.flatnonzero(paid[:, names.index("lines")]).tolist() == [end]


def test_a_token_with_a_newline_in_it_completes_a_line_once():
    ids = [*VERSE.to_ids(SEE[:-1]), LETTERS.tokens.index("\no"), LETTERS.end_id]
    paid = score_sequences(VERSE.make_task("couplet"), np.array([ids]))[0]
    assert np.flatnonzero(paid[:, 1]).tolist() == [len(ids) - 2]  # "o" alone closes no foot
    assert paid[-2, 1] == 1


HAIKU = "an old silent pond\na frog jumps into the pond\nsplash silence again"


@pytest.mark.parametrize(
    ("task", "text", "expected"),
    [
        ("haiku", HAIKU, {"syllables": 3, "repeats": 0, "words": 0, "lines": 1}),
        ("haiku", HAIKU + " pond", {"syllables": 2.8, "repeats": -0.25, "words": 0, "lines": 1}),
        (
            {"name": "verse", "syllables": [1, 1, 1], "rhyme": "a a", "metre": False, "most": None},
            "day\nnight\nmay",
            {"syllables": 3, "rhyme": 1, "words": 0, "lines": 1},
        ),
        # without promotion the last foot of memory does not scan
        ({"name": "couplet", "promotion": False}, "his tender heir might bear his memory\n" + THEE,
         WHOLE | {"metre": 1.8, "rhyme": 1 / 8}),
        ({"name": "couplet", "feminine": True}, "to be or not to be that is the question\n" + THEE,
         WHOLE | {"rhyme": 0, "repeats": -0.25}),
        ("lexicon", "", None),
    ],
)  # fmt: skip
def test_other_forms(task, text, expected):
    if expected is None:
        with pytest.raises(ValueError, match="needs words: give use, avoid or both"):
            VERSE.make_task(task)
    else:
        assert earned(task, text) == pytest.approx(expected)


# -- other tasks ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("task", "text", "expected"),
    [
        ({"name": "lexicon", "use": ["rose", "day"]}, "the rose of may", {"use": 0.5}),
        ({"name": "lexicon", "use": "rose, day"}, "'rose' of the day", {"use": 1}),
        ({"name": "lexicon", "use": "rose", "avoid": "day"}, "day day", {"use": 0, "avoid": -0.5}),
        ({"name": "lexicon", "avoid": ["day"]}, "day " * 9, {"avoid": -1}),
        ({"name": "lexicon", "avoid": ["day"]}, "days", {"avoid": 0}),
        # the lexicon has love at 3.2 and hate at -2.7
        ("sentiment", "love", {"sentiment": 3.2 / (3.2**2 + 15) ** 0.5}),
        ("positive", "love and hate", {"sentiment": 0.5 / (0.5**2 + 15) ** 0.5}),
        ("negative", "love\nand hate", {"sentiment": -0.5 / (0.5**2 + 15) ** 0.5}),
        ("regex:^a+$", "aaa", {"regex": 1}),
        ("regex:^a+$", "aab", {"regex": 0}),
        ({"name": "regex", "pattern": "day\nni", "whole": True}, "day\nnight", {"regex": 0}),
        ({"name": "regex", "pattern": "day\nni"}, "day\nnight", {"regex": 1}),
    ],
)
def test_words_sentiment_and_patterns(task, text, expected):
    assert earned(task, text) == pytest.approx(expected)


def test_a_task_on_top_of_a_form():
    task = {"name": "lexicon", "use": "men", "form": "couplet", "weights": {"use": 3.0}}
    assert earned(task, SEE + THEE) == pytest.approx(made(use=1))
    own = {"syllables": [1, 1], "rhyme": "aa", "metre": False}
    found = earned({"name": "sentiment", "form": own}, "day\nmay")
    assert found["rhyme"] == 1
    assert VERSE.make_task({"name": "sentiment", "form": own}).facts["syllables"] == (1, 1)


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ({"name": "verse", "syllables": []}, "syllables must be"),
        ({"name": "verse", "syllables": [0]}, "syllables must be"),
        ({"name": "verse", "syllables": 10}, "syllables must be"),
        ({"name": "verse", "rhyme": "aab"}, "one letter for each of the 2 lines"),
        ({"name": "couplet", "metre": "no"}, "metre must be true or false"),
        ({"name": "couplet", "most": 0}, "most must be a whole number of at least 1"),
        ({"name": "couplet", "spondee": True}, "licences of the metre are"),
        ({"name": "lexicon", "use": "beautifull"}, "not in the dictionary .did you mean"),
        ({"name": "lexicon", "use": ["a b"]}, "single words of letters"),
        ({"name": "lexicon", "use": "day", "avoid": "day"}, "both to use and to avoid"),
        ({"name": "sentiment", "want": "sad"}, "'positive' or 'negative'"),
        ({"name": "sentiment", "form": "sonnet"}, "unknown form 'sonnet'; forms"),
        ({"name": "sentiment", "form": {"lines": 2}}, "form does not take these arguments"),
        ("regex:(", "no regular expression of Python's re"),
        ("regex:", "missing 1 required positional argument: 'pattern'"),
        ("sonnet", "sonnet"),
    ],
)
def test_what_is_no_task_is_refused(task, message):
    with pytest.raises(ValueError, match=message):
        VERSE.make_task(task)


# -- properties -----------------------------------------------------------------------------------

LINES = st.sampled_from(
    [SEE[:-1], THEE, "shall i compare thee", "zorb", "", "day", "...", "the day of may"]
)


@given(st.lists(LINES, max_size=4), st.booleans())
@settings(max_examples=25, deadline=None)
def test_terms_keep_to_their_ranges(lines, end):
    """And rows of a batch get what each would get alone."""
    texts = ["\n".join(lines[:n]) for n in range(len(lines) + 1)]
    rows = [ids_of(text, end) for text in texts]
    ids, lengths = LETTERS.padded(rows, 200), [len(row) for row in rows]
    task = pickle.loads(pickle.dumps(VERSE.make_task("couplet")))
    kept = [n > 0 for n in lengths]
    together = score_sequences(task, ids[kept], np.array(lengths)[kept])
    weights = np.array([term.weight for term in task.terms])
    for i, row in enumerate(r for r in rows if r):
        alone = score_sequences(task, ids[kept][i : i + 1], [len(row)])
        np.testing.assert_array_equal(alone[0], together[i])
    totals = together.sum(axis=1) / weights
    low, high = np.array([0, 0, 0, -9, -9, -1]), np.array([2, 2, 1, 0, 0, 1])
    assert ((low <= totals) & (totals <= high)).all()
