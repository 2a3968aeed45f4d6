"""Priors: frozen sequence models p(next token | tokens so far).

A prior is anything that satisfies :class:`Prior`. The bundled ones are :class:`RecurrentPrior` and,
for melodies and names, the table of an n-gram (:class:`~seqgen_envs.ngram.NGramPrior`), each stored
as a folder of ``model.safetensors`` and ``config.json``; nothing is ever unpickled. A folder of a
causal language model is a prior too (:mod:`seqgen_envs.language_models`). The ``sha256`` in
``config.json`` are of the weights' file and of the rest of ``config.json``: what has changed since
it was written is refused.
All probabilities are natural logarithms (``log_prob``).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from seqgen_envs.bounded import read_bytes
from seqgen_envs.documents import read_json
from seqgen_envs.language_models.folder import (
    is_language_model,
    language_model_vocabulary,
    load_language_model,
)
from seqgen_envs.language_models.prior import LanguageModelPrior
from seqgen_envs.ngram import NGramPrior
from seqgen_envs.recurrent import RecurrentConfig, RecurrentNetwork, State, Stepper
from seqgen_envs.reporting.files import replacing, write_json
from seqgen_envs.vocabulary import Vocabulary

WEIGHTS_FILE = "model.safetensors"
CONFIG_FILE = "config.json"
_DIGESTS = "sha256"
#: Of an n-gram's weights, its only tensor.
TABLE = "log_probs"


@runtime_checkable
class Prior(Protocol):
    """A frozen autoregressive model over a vocabulary of V tokens.

    ``fingerprint`` identifies the weights (agents store it instead of the prior).
    """

    vocabulary: Vocabulary
    fingerprint: str

    def initial_state(self, batch_size: int) -> State:
        """State before the start token: tensors whose first dimension is the batch."""
        ...

    def step(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """log p(. | so far, tokens) [N, V] after ``tokens`` int64 [N], and the next state.

        The first call takes ``vocabulary.start_id``.
        """
        ...

    def sequence_log_probs(self, tokens: Tensor) -> Tensor:
        """log p(. | tokens[:, :t]) for every t, [N, T, V], of whole sequences int64 [N, T]."""
        ...


def for_length(prior: Prior, length: int) -> Prior:
    """The prior for sequences of at most ``length`` tokens.

    One whose states need room for every token has a method ``for_length(length)``, which returns
    such a prior; others are what they are.

    Raises:
        ValueError: it cannot be had for so many.
    """
    make = getattr(prior, "for_length", None)
    return prior if make is None else make(length)


class RecurrentPrior:
    """A frozen GRU or LSTM language model.

    Args:
        network: its weights; put into evaluation mode and frozen.
        vocabulary: the tokens it was trained on.
        metadata: what ``config.json`` says of its training (corpus, nats per token ...).
        source: the folder it was loaded from, or None for one that lives in memory only.

    Raises:
        ValueError: network and vocabulary differ in size.
    """

    def __init__(
        self,
        network: RecurrentNetwork,
        vocabulary: Vocabulary,
        metadata: dict[str, Any] | None = None,
        source: Path | None = None,
    ) -> None:
        if network.config.vocabulary_size != vocabulary.size:
            raise ValueError(
                f"the network has {network.config.vocabulary_size} outputs and the vocabulary "
                f"{vocabulary.size} tokens; they must be equal"
            )
        self.network = network.eval().requires_grad_(False)
        self.vocabulary = vocabulary
        self.metadata = dict(metadata or {})
        self.source = source
        self.fingerprint = _weights_fingerprint(network)
        self._stepper = Stepper(network)

    def initial_state(self, batch_size: int) -> State:
        """Zeros; see :class:`Prior`."""
        return self._stepper.initial_state(batch_size)

    def step(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """See :class:`Prior`."""
        logits, state = self._stepper.step(tokens, state)
        return torch.log_softmax(logits, dim=-1), state

    @torch.inference_mode()
    def sequence_log_probs(self, tokens: Tensor) -> Tensor:
        """See :class:`Prior`."""
        return torch.log_softmax(self.network.shifted_logits(tokens), dim=-1)

    def save(self, folder: str | Path) -> Path:
        """Write ``model.safetensors`` and ``config.json``; returns the folder."""
        return _write(folder, self, self.network.config.to_dict(), self.network.state_dict())

    def __deepcopy__(self, memo: dict[int, Any]) -> RecurrentPrior:
        return self  # frozen: every copy of an environment may share it

    def __reduce__(self) -> tuple[Any, ...]:
        if self.source is not None:  # a worker loads its own single copy from disk
            return load_prior_folder, (str(self.source),)
        state = {k: v.cpu().numpy() for k, v in self.network.state_dict().items()}
        config = self.network.config.to_dict()
        return _rebuild, (config, state, self.vocabulary, self.metadata)


def save_ngram(prior: NGramPrior, folder: str | Path) -> Path:
    """Write an n-gram's table as :meth:`RecurrentPrior.save` writes weights; returns the folder."""
    return _write(folder, prior, {"order": prior.order}, {TABLE: prior.table})


def _write(
    folder: str | Path,
    prior: RecurrentPrior | NGramPrior,
    architecture: dict[str, Any],
    tensors: Mapping[str, Tensor],
) -> Path:
    from safetensors.torch import save

    folder, vocabulary = Path(folder), prior.vocabulary
    config = {
        "format": 1,
        "architecture": architecture,
        "vocabulary": {
            "tokens": list(vocabulary.tokens),
            "end": vocabulary.end,
            "joiner": vocabulary.joiner,
        },
        "training": prior.metadata,
    }
    weights = save({k: v.detach().cpu().contiguous() for k, v in tensors.items()})
    with replacing(folder / WEIGHTS_FILE) as temporary:
        temporary.write_bytes(weights)
    write_json(folder / CONFIG_FILE, {**config, _DIGESTS: _digests(config, weights)})
    return folder


def load_prior_folder(folder: str | Path) -> RecurrentPrior | NGramPrior | LanguageModelPrior:
    """The prior stored in ``folder``, one copy a process; a folder of transformers is one too.

    Raises:
        ImportError: the extra ``hf`` is missing, which a folder of transformers needs.
        FileNotFoundError: a file is missing; the message names it.
        ValueError: a file cannot be read as what it should be, has changed since it was written, or
            its weights are not finite.
    """
    if is_language_model(folder):
        return load_language_model(folder)
    folder = _checked_folder(folder)
    return _load_cached(folder, (folder / WEIGHTS_FILE).stat().st_mtime_ns)


def stored_vocabulary(folder: str | Path) -> Vocabulary:
    """The vocabulary of the prior stored in ``folder``, whose weights are not loaded.

    Raises:
        FileNotFoundError, ValueError: as :func:`load_prior_folder`.
    """
    if is_language_model(folder):
        return language_model_vocabulary(folder)
    folder = _checked_folder(folder)
    return _vocabulary_cached(folder, (folder / CONFIG_FILE).stat().st_mtime_ns)


def stored_max_tokens(folder: str | Path) -> int:
    """The longest sequence that the prior stored in ``folder`` was trained for; 0: it is not said.

    Raises:
        FileNotFoundError, ValueError: as :func:`load_prior_folder`.
    """
    if is_language_model(folder):
        return 0
    folder = _checked_folder(folder)
    return _max_tokens_cached(folder, (folder / CONFIG_FILE).stat().st_mtime_ns)


def max_tokens_of(metadata: Any) -> int:
    """The longest sequence that a prior was trained for, by its metadata; 0: it is not said.

    Raises:
        ValueError: it is no whole number.
    """
    given = metadata.get("max_tokens", 0) if isinstance(metadata, dict) else 0
    if not isinstance(given, int) or given < 0:
        raise ValueError(f"max_tokens must be a whole number, got {given!r}")
    return given


@lru_cache(maxsize=16)
def _max_tokens_cached(folder: Path, modified: int) -> int:
    with _naming(folder):
        return max_tokens_of(_read_config(folder)[0].get("training"))


@lru_cache(maxsize=16)
def _vocabulary_cached(folder: Path, modified: int) -> Vocabulary:
    with _naming(folder):
        return Vocabulary(**_read_config(folder)[0]["vocabulary"])


def _checked_folder(folder: str | Path) -> Path:
    folder = Path(folder).expanduser().resolve()
    for name in (CONFIG_FILE, WEIGHTS_FILE):
        if not (folder / name).is_file():
            raise FileNotFoundError(
                f"{folder} is not a prior: {name} is missing (a prior is a folder with "
                f"{CONFIG_FILE} and {WEIGHTS_FILE}, as written by `seqgen prior train`)"
            )
    return folder


def _read_config(folder: Path) -> tuple[dict[str, Any], str]:
    """What the folder's ``config.json`` says, checked, and the digest of the weights' file."""
    config = read_json(folder / CONFIG_FILE)
    if not isinstance(config, dict) or not {"architecture", "vocabulary"} <= config.keys():
        raise ValueError(f"{CONFIG_FILE} must hold an object with 'architecture' and 'vocabulary'")
    digests = config.pop(_DIGESTS, None)
    if not isinstance(digests, dict) or digests.keys() != {"config", "weights"}:
        raise ValueError(f"{CONFIG_FILE} lacks the {_DIGESTS} of 'config' and 'weights'")
    if digests["config"] != _digests(config, b"")["config"]:
        raise ValueError(f"{CONFIG_FILE} has changed since it was written")
    return config, str(digests["weights"])


def _digests(config: dict[str, Any], weights: bytes) -> dict[str, str]:
    """SHA-256 of the weights' file, and of the configuration however it is laid out."""
    text = json.dumps(config, sort_keys=True, ensure_ascii=True)
    return {
        "config": hashlib.sha256(text.encode()).hexdigest(),
        "weights": hashlib.sha256(weights).hexdigest(),
    }


@lru_cache(maxsize=16)
def _load_cached(folder: Path, modified: int) -> RecurrentPrior | NGramPrior:
    from safetensors.torch import load

    with _naming(folder):
        config, digest = _read_config(folder)
        vocabulary = Vocabulary(**config["vocabulary"])
        data = read_bytes(folder / WEIGHTS_FILE)
        if hashlib.sha256(data).hexdigest() != digest:
            raise ValueError(f"{WEIGHTS_FILE} is not the one that {CONFIG_FILE} was written with")
        weights = load(data)
        if "order" in config["architecture"]:
            return NGramPrior(weights[TABLE].numpy(), vocabulary, config.get("training"), folder)
        architecture = RecurrentConfig(**config["architecture"])
        architecture.check_weights(weights)
        network = RecurrentNetwork(architecture)
        network.load_state_dict(weights)
        return RecurrentPrior(network, vocabulary, config.get("training"), source=folder)


@contextmanager
def _naming(folder: Path) -> Iterator[None]:
    """What a damaged file of a prior leads to, as one sentence that names the folder."""
    from safetensors import SafetensorError

    try:
        yield
    except (ValueError, TypeError, LookupError, RuntimeError, SafetensorError) as error:
        message = " ".join(str(error).split())
        raise ValueError(f"cannot read the prior in {folder}: {message}") from error


def _rebuild(
    config: dict[str, Any], state: dict[str, Any], vocabulary: Vocabulary, metadata: dict[str, Any]
) -> RecurrentPrior:
    network = RecurrentNetwork(RecurrentConfig(**config))
    network.load_state_dict({k: torch.from_numpy(v.copy()) for k, v in state.items()})
    return RecurrentPrior(network, vocabulary, metadata)


def _weights_fingerprint(network: RecurrentNetwork) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(network.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]
