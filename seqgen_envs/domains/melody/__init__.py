"""Melodies of sixteenth notes, and the nine rules of Sequence Tutor.

Nothing heavy (music21, matplotlib, PyTorch) is imported here; the functions below bring in what
they need when they are called.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from seqgen_envs.domain import Domain, StoredPrior
from seqgen_envs.domain_groups import Corpora, Entry, Files, Metrics, View
from seqgen_envs.domains.melody.metrics import PAPER_TABLE, melody_stats, summarize
from seqgen_envs.domains.melody.notation import write_musicxml, write_svg
from seqgen_envs.domains.melody.reading.tunes import SUFFIXES
from seqgen_envs.domains.melody.render import (
    render_image,
    render_text,
    write_piano_roll,
    write_probability_heatmap,
)
from seqgen_envs.domains.melody.roll import draw_svg
from seqgen_envs.domains.melody.sheet import PLAIN, Sheet
from seqgen_envs.domains.melody.sound import waveform, write_midi, write_wav
from seqgen_envs.domains.melody.tasks import local_task, recommended_task, rl_tuner_task
from seqgen_envs.domains.melody.vocabulary import VOCABULARY, encode
from seqgen_envs.extras import require

if TYPE_CHECKING:
    from seqgen_envs.datasets.corpus import Corpus
    from seqgen_envs.prior import Prior

logger = logging.getLogger(__name__)

PRIORS = Path(__file__).parents[2] / "priors" / "melody"
HORIZON = 32
MIN_HORIZON = 8


def _write(
    tokens: NDArray[np.int64],
    folder: Path,
    stem: str,
    prior: Prior,
    *,
    key: str = PLAIN.key,
    bar_length: int = PLAIN.bar_length,
    pickup: int = PLAIN.pickup,
    transpose: int | str | None = PLAIN.transpose,
    tempo: float = PLAIN.tempo,
    instrument: int | str = PLAIN.instrument,
    title: str = PLAIN.title,
    composer: str = PLAIN.composer,
    no_pictures: bool = False,
) -> list[Path]:
    """A melody as MIDI, WAV, MusicXML, SVG, and PNGs of its piano roll and the prior's view.

    The options are those of :class:`~seqgen_envs.domains.melody.sheet.Sheet`, and ``no_pictures``,
    which leaves out SVG and PNGs. The prior's view is of the tokens, which are not transposed.
    Without verovio (the ``notation`` extra) there is no SVG.
    """
    sheet = Sheet(key, bar_length, pickup, transpose, tempo, instrument, title, composer)
    ids = tokens[tokens < VOCABULARY.size]
    writers: dict[str, Callable[..., object]] = {
        f"{stem}.mid": write_midi,
        f"{stem}.wav": write_wav,
        f"{stem}.musicxml": write_musicxml,
    }
    if not no_pictures:
        writers |= _pictures(ids, stem, prior)
    for name, write in writers.items():
        write(ids, path=folder / name, sheet=sheet)
    return [folder / name for name in writers]


def _pictures(ids: NDArray[np.int64], stem: str, prior: Prior) -> dict[str, Callable[..., object]]:
    """What draws a melody, by the file's name."""
    import torch

    inputs = np.append(ids, 0)  # one more, for what the prior expects after the last token
    log_probs = prior.sequence_log_probs(torch.from_numpy(inputs[None]))[0, : len(ids)].numpy()
    writers: dict[str, Callable[..., object]] = {
        f"{stem}.svg": write_svg,
        f"{stem}.png": write_piano_roll,
        f"{stem}.prior.png": partial(write_probability_heatmap, log_probs=log_probs),
    }
    if not _can_engrave():
        del writers[f"{stem}.svg"]
    return writers


@cache
def _can_engrave() -> bool:
    """Whether verovio is there; if not, that is said once a process."""
    try:
        require("verovio", "notation")
    except ImportError as error:
        logger.warning("melodies are written without SVG scores: %s", error)
        return False
    return True


def _read(path: Path, *, part: str | None = None, fit_key: bool = False) -> NDArray[np.int64]:
    """The one melody of a file.

    ``part`` chooses of an arrangement (see ``reading.parts``); ``fit_key`` moves the melody to C
    major or A minor, as corpora are. Where it is in another key, a warning says so.
    """
    from seqgen_envs.domains.melody.files import read_melody

    return read_melody(path, part=part, transpose=fit_key)


def _read_many(path: Path, *, part: str | None = None, fit_key: bool = False) -> list[Entry]:
    """All melodies of a file; see :func:`_read`."""
    from seqgen_envs.domains.melody.files import read_melodies

    return read_melodies(path, part=part, transpose=fit_key)


def _facts(
    path: Path, *, part: str | None = None, fit_key: bool = False, last: int | None = None
) -> dict[str, Any]:
    """What a music file says besides its tokens: the upbeat, and how to move it back."""
    from seqgen_envs.domains.melody.files import read_line
    from seqgen_envs.domains.melody.reading.line import key_and_shift, line_tokens
    from seqgen_envs.domains.melody.reading.pieces import BAR

    line = read_line(path, part=part)
    back = {"transpose": -key_and_shift(line)[1]} if fit_key else {}
    if last is None:
        return {"pickup": line.pickup, **back}
    begins = max(len(line_tokens(line, transpose=fit_key)) - last, 0)
    return {"pickup": (line.pickup - begins) % (line.bar or BAR), **back}


def _read_corpus(
    data: str, *, n_jobs: int | None = None, refresh: bool = False, part: str | None = None
) -> Corpus:
    """``"corpus"``: music21's folk tunes; otherwise MIDI, MusicXML and ABC files: a folder or one.

    ``part`` chooses of the arrangements in them (see ``reading.parts``).

    Raises:
        ValueError: the files cannot be read, or ``part`` is asked of the folk tunes.
    """
    from seqgen_envs.domains.melody.dataset import builtin_corpus, folder_corpus

    if data == "corpus":
        if part is not None:
            raise ValueError("the corpus's tunes have one part each: leave out --part")
        return builtin_corpus(n_jobs=n_jobs, refresh=refresh)
    return folder_corpus(data, n_jobs=n_jobs, refresh=refresh, part=part)


DOMAIN = Domain(
    name="melody",
    vocabulary=VOCABULARY,
    encode=encode,
    priors={name: StoredPrior(PRIORS / name) for name in ("default", "paper", "bigram")},
    tasks={"rl-tuner": rl_tuner_task, "recommended": recommended_task, "local": local_task},
    default_prior="default",
    default_task="rl-tuner",
    horizon=HORIZON,
    min_horizon=MIN_HORIZON,
    plural="melodies",
    view=View(render_text, render_image, waveform, svg=draw_svg),
    metrics=Metrics(melody_stats, summarize, PAPER_TABLE),
    files=Files(
        read=_read,
        read_many=_read_many,
        write=_write,
        check=Sheet,
        facts=_facts,
        suffixes=SUFFIXES,
    ),
    corpora=Corpora(
        read=_read_corpus,
        names={"corpus": "the folk tunes that music21 carries"},
        suffixes=SUFFIXES,
        presets=PRIORS / "presets.yaml",
    ),
)
