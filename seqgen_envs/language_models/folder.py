"""Language models from folders: local files, weights as safetensors, no code of theirs is run."""

from __future__ import annotations

import json
import math
import multiprocessing
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

from seqgen_envs.documents import read_json
from seqgen_envs.extras import require
from seqgen_envs.language_models.prior import LanguageModelPrior
from seqgen_envs.language_models.tokens import TokenizerVocabulary, vocabulary_of
from seqgen_envs.recurrent import check_finite

CONFIG, WEIGHTS, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
ADAPTER = "adapter_config.json"
_TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt")
_PICKLED = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
#: Of a safetensors file, its header at most.
_LARGEST_HEADER = 100 * 1024**2


def is_language_model(folder: str | Path) -> bool:
    """Whether ``config.json`` there is one of transformers, or an adapter of peft is."""
    path = Path(folder).expanduser() / CONFIG
    if not path.is_file():
        return path.with_name(ADAPTER).is_file()
    try:
        config = read_json(path)
    except (OSError, ValueError):
        return False
    return isinstance(config, dict) and bool({"model_type", "architectures"} & config.keys())


def load_language_model(folder: str | Path) -> LanguageModelPrior:
    """The prior in a folder of transformers, one copy a process; on a graphics card if there is
    one, and then in the numbers it is stored in; on the processor in float32.

    Raises:
        ImportError: the extra ``hf`` is not installed.
        ValueError: it holds code, pickled weights, no tokenizer or one without an end token, or
            weights that are not those of the model; or it is no causal language model.
    """
    folder = Path(folder).expanduser().resolve()
    newest = max(path.stat().st_mtime_ns for path in folder.iterdir())
    return _load(folder, newest)


def language_model_vocabulary(folder: str | Path) -> TokenizerVocabulary:
    """The vocabulary of the language model in ``folder``, whose weights are not loaded.

    Raises:
        ImportError, ValueError: as :func:`load_language_model`.
    """
    folder = Path(folder).expanduser().resolve()
    newest = max(path.stat().st_mtime_ns for path in folder.iterdir())
    return _vocabulary(folder, newest)


@lru_cache(maxsize=16)
def _vocabulary(folder: Path, modified: int) -> TokenizerVocabulary:
    with _naming(folder):
        _check_files(folder)
        config = _config(folder).get_text_config()
        return vocabulary_of(_tokenizer(folder), int(config.vocab_size))


@lru_cache(maxsize=4)
def _load(folder: Path, modified: int) -> LanguageModelPrior:
    with _naming(folder):
        _check_files(folder)
        config = _config(folder)
        _check_sizes(folder, config.get_text_config())
        tokenizer = _tokenizer(folder)
        vocabulary_of(tokenizer, int(config.get_text_config().vocab_size))  # or say what is wrong
        model = _model(folder, config)
        return LanguageModelPrior(model, tokenizer, folder, load_language_model)


def _check_files(folder: Path) -> None:
    """Raise a ValueError for a folder that lacks something, or holds what would be executed."""
    if (folder / ADAPTER).is_file():  # it names another folder, or one of the hub
        raise ValueError(
            f"it is an adapter ({ADAPTER}) and no whole model: merge the two, by "
            "policy.save_language_model(FOLDER) or merge_and_unload of peft"
        )
    for name in (CONFIG, "tokenizer_config.json"):
        if (folder / name).is_file() and "auto_map" in read_json(folder / name):
            raise ValueError(
                f"{name} names code of its own (auto_map), and code of a folder is never run: take "
                "a model whose architecture is in transformers"
            )
    if not any((folder / name).is_file() for name in (WEIGHTS, INDEX)):
        pickled = sorted(path.name for kind in _PICKLED for path in folder.glob(kind))
        if pickled:
            raise ValueError(
                f"its weights are pickled ({pickled[0]}), and nothing is unpickled: save them as "
                f"safetensors, by model.save_pretrained of transformers"
            )
        raise ValueError(f"it has no weights: {WEIGHTS} is missing")
    if not any((folder / name).is_file() for name in _TOKENIZERS):
        raise ValueError(
            "it has no tokenizer: put tokenizer.json and tokenizer_config.json beside the weights, "
            "by tokenizer.save_pretrained of transformers"
        )


def _check_sizes(folder: Path, config: Any) -> None:
    """Raise a ValueError where the configuration promises more than the weights' files hold, before
    a model of that size takes memory.
    """
    shapes = [shape for path in sorted(folder.glob("*.safetensors")) for shape in _shapes(path)]
    held = sum(math.prod(shape) for shape in shapes)
    promised = int(config.vocab_size) * int(config.hidden_size)
    if promised > held or int(config.num_hidden_layers) > len(shapes):
        raise ValueError(
            f"{CONFIG} promises {config.num_hidden_layers} layers and {promised:,} numbers for "
            f"tokens, and its weights are {held:,} numbers in {len(shapes)} tensors"
        )


def _shapes(path: Path) -> Iterator[list[int]]:
    """Of the tensors in a safetensors file: its header is a length and JSON."""
    with path.open("rb") as file:
        (size,) = struct.unpack("<Q", file.read(8).ljust(8, b"\0"))
        if size > min(_LARGEST_HEADER, path.stat().st_size):
            raise ValueError(f"{path.name} is no file of safetensors")
        header = json.loads(file.read(size))
    return (entry["shape"] for name, entry in header.items() if name != "__metadata__")


def _config(folder: Path) -> Any:
    transformers = require("transformers", "hf")
    with quiet():
        config = transformers.AutoConfig.from_pretrained(
            str(folder), local_files_only=True, trust_remote_code=False
        )
    if getattr(config, "quantization_config", None):
        raise ValueError("its weights are quantized: give the model as it was before, in full")
    return config


def _tokenizer(folder: Path) -> Any:
    """The tokenizer, as its ``tokenizer.json`` has it where there is one.

    What the model's own class of tokenizers makes of that file may cut texts otherwise; it is asked
    for the special tokens that older folders leave to it.
    """
    transformers = require("transformers", "hf")
    given = {"local_files_only": True, "trust_remote_code": False}
    if not (folder / "tokenizer.json").is_file():
        return transformers.AutoTokenizer.from_pretrained(str(folder), **given)
    tokenizer = transformers.PreTrainedTokenizerFast.from_pretrained(str(folder), **given)
    if tokenizer.eos_token is None:
        usual = transformers.AutoTokenizer.from_pretrained(str(folder), **given)
        known = tokenizer.get_vocab()
        for name in ("eos_token", "bos_token", "unk_token"):
            if getattr(usual, name) in known and getattr(tokenizer, name) is None:
                setattr(tokenizer, name, getattr(usual, name))
    return tokenizer


def _model(folder: Path, config: Any) -> Any:
    """The model, on the device and in the numbers that :func:`load_language_model` says."""
    transformers = require("transformers", "hf")
    worker = multiprocessing.parent_process() is not None
    card = torch.cuda.is_available() and not worker
    with quiet():
        model, info = transformers.AutoModelForCausalLM.from_pretrained(
            str(folder), config=config, local_files_only=True, trust_remote_code=False,
            use_safetensors=True, output_loading_info=True, ignore_mismatched_sizes=True,
            attn_implementation=_attention(config), dtype="auto" if card else torch.float32,
        )  # fmt: skip
    wrong = sorted(str(name) for name in [*info["missing_keys"], *info["mismatched_keys"]])
    if wrong:
        raise ValueError(
            f"its weights lack {wrong[0]} of {type(model).__name__} as {CONFIG} has it"
            + (f", and {len(wrong) - 1} more" if wrong[1:] else "")
        )
    for name, tensor in model.named_parameters():
        check_finite(name, tensor)
    return model.to("cuda" if card else "cpu")


def _attention(config: Any) -> str:
    """PyTorch's own attention, but for models that bound its scores."""
    capped = getattr(config.get_text_config(), "attn_logit_softcapping", None)
    return "eager" if capped else "sdpa"


@contextmanager
def quiet() -> Iterator[None]:
    """Without transformers' progress bars and warnings: what is wrong is raised."""
    logging = require("transformers", "hf").logging
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # of transformers, to its own libraries
            yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


@contextmanager
def _naming(folder: Path) -> Iterator[None]:
    """What a damaged file leads to, as one sentence that names the folder."""
    from safetensors import SafetensorError

    strict = require("huggingface_hub.errors", "hf").StrictDataclassError  # of configurations
    try:
        yield
    except ImportError:  # an extra that is missing
        raise
    except (
        ValueError, TypeError, LookupError, RuntimeError, OSError, AttributeError, SafetensorError,
        strict,
    ) as error:  # fmt: skip
        message = " ".join(str(error).split())[:600]
        raise ValueError(f"cannot read the language model in {folder}: {message}") from error
