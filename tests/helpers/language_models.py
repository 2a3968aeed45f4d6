"""Language models of two layers and a byte-pair tokenizer trained on the spot: no hub."""

from functools import cache, partial

import numpy as np
import torch

from seqgen_envs.domain import Domain
from seqgen_envs.rules import Task, Term
from seqgen_envs.vocabulary import Vocabulary

TEXTS = [
    "the cat sat on the mat",
    "the dog ran to the house and the cat ran to the tree",
    "a bird sang in the tree and the dog sat in the house",
] * 4
KINDS = ("gpt2", "llama", "qwen2")


@cache
def tokenizer_of(size=120, bos=True):
    """A byte-pair tokenizer with ``</s>`` for its end, and special tokens beside it."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    special = ["<unk>", "<s>", "</s>"]
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=special, show_progress=False)
    tokenizer.train_from_iterator(TEXTS, trainer)
    marks = {"bos_token": "<s>"} if bos else {}
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="</s>", unk_token="<unk>", **marks
    )


def model_of(kind="gpt2", size=128, seed=0, hidden=32, positions=64):
    """Random weights: learned positions (gpt2), rotary and grouped heads (llama, qwen2)."""
    import transformers

    torch.manual_seed(seed)
    if kind == "gpt2":
        config = transformers.GPT2Config(
            vocab_size=size, n_positions=positions, n_embd=hidden, n_layer=2, n_head=4,
            initializer_range=0.2, bos_token_id=1, eos_token_id=2,
        )  # fmt: skip
        return transformers.GPT2LMHeadModel(config)
    configs = {"llama": transformers.LlamaConfig, "qwen2": transformers.Qwen2Config}
    models = {"llama": transformers.LlamaForCausalLM, "qwen2": transformers.Qwen2ForCausalLM}
    config = configs[kind](
        vocab_size=size, max_position_embeddings=positions, hidden_size=hidden,
        initializer_range=0.2, intermediate_size=2 * hidden, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    return models[kind](config)


def prior_of(kind="gpt2", length=16, **sizes):
    """In memory: a model of :func:`model_of` and its tokenizer."""
    from seqgen_envs.language_models.prior import LanguageModelPrior

    return LanguageModelPrior(model_of(kind, **sizes), tokenizer_of(), length=length)


def folder_of(path, kind="gpt2", **sizes):
    """The same as a folder of transformers."""
    model_of(kind, **sizes).save_pretrained(path)
    tokenizer_of().save_pretrained(path)
    return path


def _no_prior():
    raise ValueError("give a prior")


def _letters(vocabulary):
    wanted = [i for i, token in enumerate(vocabulary.tokens) if "a" in token]
    return Task("letters", [Term("letters", partial(_count, wanted=wanted), at="end")])


def _count(tokens, lengths, wanted):
    return np.isin(tokens, wanted).sum(axis=1).astype(float)


def of_vocabulary(vocabulary, horizon=12):
    """A domain of these tokens; its task pays for each that has an "a"."""
    return Domain(
        name="words",
        vocabulary=vocabulary,
        priors={"none": _no_prior},
        tasks={"letters": partial(_letters, vocabulary)},
        default_prior="none",
        default_task="letters",
        horizon=horizon,
        of_vocabulary=of_vocabulary,
    )


def words():
    """The domain, for priors that bring their own tokens."""
    return of_vocabulary(Vocabulary(("a", "b"), end="b"))
