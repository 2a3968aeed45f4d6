"""A causal language model as prior and policy: tokens a second, and memory.

    python benchmarks/language_models.py [--threads 1] [--repeats 5] [--quick] [--out FOLDER]

- generate: transformers' own cached loop, ``model.generate`` with sampling, 64 lanes.
- steps: the prior's steps and a draw, the same lanes, model and tokens.
- restarts: the same, an eighth of the lanes at a time starting anew at other steps.
- environment: the same by ``rollout`` in a vector environment, until every sequence has ended.
- memory: peak memory of a process that makes the model and generates by transformers; of one that
  makes it, and trains adapters of rank 8 on it (an environment's prior and the policy in one); and
  of one that trains a full copy.
- large: peak memory of a process that trains psi, and one that trains tb, for 2,000 steps with
  GPT-2's 50,257 tokens and two of its layers (random weights).

Loops are measured in turns, and compared within a turn. The models have random weights.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from common import clock, conditions, multinomial, run_program, unpaid_task

from seqgen_envs.domain import Domain
from seqgen_envs.language_models.prior import LanguageModelPrior
from seqgen_envs.rollout import PriorPolicy, rollout
from seqgen_envs.vector_env import SequenceVectorEnv
from seqgen_envs.vocabulary import Vocabulary

LANES, TOKENS = 64, 64
#: Small: of verse and names. Middle: a tenth of GPT-2, where the arithmetic counts.
SIZES = {"small": (1024, 256, 4), "middle": (8192, 512, 6)}
KINDS = ("gpt2", "llama")
#: 630 MB of weights, beside which what a few short sequences take is little.
MEMORY = (4096, 1024, 12)
LARGE = (50_257, 768, 2)
STEPS = 2000


def model_of(kind: str, size: int, width: int, layers: int) -> Any:
    """A model of random weights."""
    import transformers

    torch.manual_seed(0)
    shared = {"vocab_size": size, "bos_token_id": 0, "eos_token_id": 0}
    if kind == "gpt2":
        config = transformers.GPT2Config(
            n_embd=width, n_layer=layers, n_head=width // 64, n_positions=256, **shared
        )
        return transformers.GPT2LMHeadModel(config).eval()
    config = transformers.LlamaConfig(
        hidden_size=width, num_hidden_layers=layers, num_attention_heads=width // 64,
        num_key_value_heads=max(width // 128, 1), intermediate_size=3 * width,
        max_position_embeddings=256, **shared,
    )  # fmt: skip
    return transformers.LlamaForCausalLM(config).eval()


def tokenizer_of(size: int) -> Any:
    """Words that are numbers; the first ends a text."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    words = models.WordLevel({f"w{i}": i for i in range(size)}, unk_token="w0")
    return PreTrainedTokenizerFast(tokenizer_object=Tokenizer(words), eos_token="w0")


def prior_of(kind: str, sizes: tuple[int, int, int], length: int = TOKENS) -> LanguageModelPrior:
    return LanguageModelPrior(model_of(kind, *sizes), tokenizer_of(sizes[0]), length=length)


def domain_of(vocabulary: Vocabulary) -> Domain:
    return Domain(
        name="words", vocabulary=vocabulary, priors={"none": unpaid_task},  # type: ignore[dict-item]
        tasks={"nothing": unpaid_task}, default_prior="none", default_task="nothing",
        horizon=TOKENS,
    )  # fmt: skip


# -- speed ----------------------------------------------------------------------------------------


@torch.inference_mode()
def generate(prior: LanguageModelPrior, lanes: int = LANES, tokens: int = TOKENS) -> int:
    inputs = torch.full((lanes, 1), prior.causal.start)
    made = prior.causal.model.generate(
        inputs, attention_mask=torch.ones_like(inputs), do_sample=True, top_k=0, use_cache=True,
        min_new_tokens=tokens, max_new_tokens=tokens, pad_token_id=0,
    )  # fmt: skip
    return int(made.numel() - lanes)


@torch.inference_mode()
def steps(prior: LanguageModelPrior, restarts: bool = False) -> int:
    state, fresh = prior.initial_state(LANES), prior.initial_state(1)
    tokens = torch.full((LANES,), prior.vocabulary.size)
    for t in range(TOKENS):
        log_probs, state = prior.step(tokens, state)
        tokens = multinomial(log_probs)
        if restarts and t % 8 == 7:
            rows = torch.arange(t // 8, LANES, 8)
            for part, one in zip(state, fresh, strict=True):
                part[rows] = one
            tokens[rows] = prior.vocabulary.size
    return LANES * TOKENS


def environment(prior: LanguageModelPrior) -> int:
    env = SequenceVectorEnv(domain_of(prior.vocabulary), LANES, prior=prior, length=TOKENS)
    return int(rollout(env.lanes, PriorPolicy(0), 2 * LANES).steps.sum())


LOOPS: dict[str, Callable[[LanguageModelPrior], int]] = {
    "generate": generate,
    "steps": steps,
    "restarts": partial(steps, restarts=True),
    "environment": environment,
}


def speeds(kind: str, sizes: tuple[int, int, int], repeats: int) -> dict[str, Any]:
    """Tokens a second of each loop, and each loop's share of the first within a turn."""
    prior = prior_of(kind, sizes)
    for loop in LOOPS.values():
        loop(prior)
    turns: list[dict[str, float]] = []
    for _ in range(repeats):
        turn = {}
        for name, loop in LOOPS.items():
            start = clock()
            made = loop(prior)
            turn[name] = made / (clock() - start)
        turns.append(turn)
    median = {name: statistics.median(turn[name] for turn in turns) for name in LOOPS}
    shares = {
        name: statistics.median(turn[name] / turn["generate"] for turn in turns) for name in LOOPS
    }
    return {"tokens_a_second": median, "of_generate": shares, "turns": turns}


# -- memory ---------------------------------------------------------------------------------------


def peak() -> float:
    """Most memory that this program has had, MB.

    Not ``getrusage``'s, which counts what the process was before it became this program.
    """
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def trained(prior: LanguageModelPrior, name: str, lanes: int, steps: int, **settings: Any) -> None:
    """An agent of that name on the prior's environment."""
    from stable_baselines3.common.logger import configure

    from kl_agents.registry import get_algorithm

    env = SequenceVectorEnv(domain_of(prior.vocabulary), lanes, prior=prior, length=prior.length)
    agent = get_algorithm(name)("SequencePolicy", env, seed=0, device="cpu", **settings)
    agent.set_logger(configure(None, []))
    agent.learn(steps)
    assert agent._n_updates, "nothing was trained"


def alone(what: str, rank: int | None = None, name: str = "tb") -> None:
    """What one process does, whose peak memory is then printed: see the top."""
    if what == "nothing":
        import peft  # noqa: F401
        import transformers  # noqa: F401

        import kl_agents  # noqa: F401
    elif what == "generate":
        generate(prior_of("gpt2", MEMORY, 8), 4, 8)
    elif what == "train":
        settings = {"policy_kwargs": {"lora_rank": rank}, "batch_episodes": 2}
        trained(prior_of("gpt2", MEMORY, 8), name, 4, 160, **settings)
    else:
        trained(prior_of("gpt2", LARGE, 32), name, 16, STEPS, batch_episodes=8)
    print(peak())


def peak_of(*arguments: str) -> float:
    """MB of a process of its own that calls :func:`alone`."""
    command = [sys.executable, __file__, "--alone", *arguments]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def memory(quick: bool) -> dict[str, float]:
    parts = {
        "nothing": ("nothing",),
        "generate": ("generate",),
        "adapter": ("train", "8"),
        "copy": ("train", "0"),
    }
    if not quick:
        parts |= {f"large_{name}": ("large", "0", name) for name in ("psi", "tb")}
    return {name: peak_of(*arguments) for name, arguments in parts.items()}


def measure(repeats: int) -> dict[str, Any]:
    quick = repeats == 1
    chosen = {"small": SIZES["small"]} if quick else SIZES
    return {
        "speed": {
            f"{kind}, {name}": speeds(kind, sizes, repeats)
            for name, sizes in chosen.items()
            for kind in KINDS
        },
        "peak_mb": memory(quick),
    }


def to_markdown(report: dict[str, Any]) -> str:
    rows = [
        f"| {name} | {found['tokens_a_second']['generate']:,.0f} | "
        + " | ".join(f"{found['of_generate'][loop]:.2f}" for loop in list(LOOPS)[1:])
        + " |"
        for name, found in report["speed"].items()
    ]
    peaks = report["peak_mb"]
    weights = peaks["generate"] - peaks["nothing"]
    large = " ".join(
        f"{name[6:]}: {value:,.0f} MB." for name, value in peaks.items() if name[:5] == "large"
    )
    return "\n".join(
        [
            f"{LANES} lanes, {TOKENS} tokens each; {conditions(report)}. Medians of "
            f"{report['repeats']} turns, each loop as a share of `generate` in the same turn; load "
            f"average {report['load_average']:.1f} when it began.\n",
            "| model | transformers' `generate`, tokens a second | the prior's steps | with lanes "
            "restarting | in the environment |",
            "| --- | ---: | ---: | ---: | ---: |",
            *rows,
            "",
            f"Peak memory over the {peaks['nothing']:,.0f} MB of a process that imports the "
            f"libraries: {weights:,.0f} MB to generate with the model by transformers, "
            f"{peaks['adapter'] - peaks['nothing']:,.0f} MB to train adapters on it "
            f"({(peaks['adapter'] - peaks['nothing']) / weights:.2f} of the first), "
            f"{peaks['copy'] - peaks['nothing']:,.0f} MB to train a copy of it "
            f"({(peaks['copy'] - peaks['nothing']) / weights:.2f}).",
            f"Of 50,257 tokens, whole processes, {STEPS:,} steps: {large}\n" if large else "",
        ]
    )


def main() -> None:
    if sys.argv[1:2] == ["--alone"]:
        parser = argparse.ArgumentParser()
        for name in ("what", "rank", "name"):
            parser.add_argument(name, nargs="?", default="tb" if name == "name" else "0")
        given = parser.parse_args(sys.argv[2:])
        torch.set_num_threads(1)
        alone(given.what, int(given.rank) or None, given.name)
    else:
        run_program(__doc__ or "", "language_models", 5, measure, to_markdown)


if __name__ == "__main__":
    main()
