"""Folders of transformers as priors: what they give, and what is refused."""

import copy
import json
import pickle
import warnings

import numpy as np
import pytest
import torch

pytest.importorskip("transformers", reason="needs the extra hf")

from gymnasium.utils.env_checker import check_env

from helpers.language_models import folder_of, tokenizer_of, words
from seqgen_envs.env import SequenceEnv
from seqgen_envs.prior import load_prior_folder, stored_vocabulary
from seqgen_envs.vector_env import SequenceVectorEnv
from seqgen_envs.vocabulary import UnknownTokenError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return folder_of(tmp_path_factory.mktemp("model"))


@pytest.fixture
def broken(folder, tmp_path):
    """A copy to break."""
    import shutil

    return shutil.copytree(folder, tmp_path / "broken")


def refused(folder):
    with pytest.raises(ValueError, match="cannot read the language model in") as caught:
        load_prior_folder(folder)
    message = str(caught.value)
    assert "\n" not in message
    return message


# -- what a folder gives --------------------------------------------------------------------------


def test_the_model_says_what_transformers_says(folder):
    from transformers import AutoModelForCausalLM

    prior = load_prior_folder(folder)
    assert load_prior_folder(folder) is prior
    tokens = torch.tensor([[21, 35, 42, 2]])
    inputs = torch.tensor([[tokenizer_of().bos_token_id, 21, 35, 42]])
    logits = AutoModelForCausalLM.from_pretrained(folder)(inputs).logits
    logits[..., list(prior.forbidden)] = -torch.inf
    torch.testing.assert_close(
        prior.sequence_log_probs(tokens), torch.log_softmax(logits, -1), atol=1e-5, rtol=1e-5
    )


def test_texts_are_cut_by_the_tokenizer(folder):
    vocabulary = stored_vocabulary(folder)
    text = "the cat sat in the house"
    ids = vocabulary.from_text(text)
    assert ids.tolist() == tokenizer_of().encode(text, add_special_tokens=False)
    assert vocabulary.to_text([*ids, vocabulary.end_id, 5]) == text
    with pytest.raises(UnknownTokenError, match=r"no token for 'Z' at position 4 of 'the Z'"):
        vocabulary.from_text("the Z")
    assert pickle.loads(pickle.dumps(vocabulary)) == vocabulary


def test_copies_and_pickles_are_the_same_prior(folder):
    prior = load_prior_folder(folder).for_length(9)
    assert copy.deepcopy(prior) is prior
    again = pickle.loads(pickle.dumps(prior))
    assert (again.fingerprint, again.length) == (prior.fingerprint, 9)
    assert len(pickle.dumps(prior)) < 1000
    assert again.causal.model is prior.causal.model  # loaded once a process


def test_an_environment_of_it(folder):
    env = SequenceEnv(words(), prior=str(folder), length=10, primer="the cat")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env, skip_render_check=True)
    observation, info = env.reset(seed=0)
    assert env.prior.length == 10
    begun = observation["tokens"][observation["tokens"] < env.domain.vocabulary.size]
    assert begun.tolist() == env.domain.vocabulary.from_text("the cat").tolist()
    over = False
    while not over:
        action = int(observation["log_prior"].argmax())
        observation, _, over, _, info = env.step(action)
    assert info["sequence"].startswith("the cat")
    pickle.loads(pickle.dumps(env))


@pytest.mark.parametrize("mode", ["NextStep", "SameStep"])
def test_lanes_are_single_environments(folder, mode):
    from gymnasium.vector import AutoresetMode

    modes = {"NextStep": AutoresetMode.NEXT_STEP, "SameStep": AutoresetMode.SAME_STEP}
    options = {"prior": str(folder), "length": 9, "c": 0.5}
    lanes = SequenceVectorEnv(words(), 5, autoreset_mode=modes[mode], **options)
    lanes.reset(seed=0)
    rng, episodes, rewards = np.random.default_rng(0), *([[], [], [], [], []] for _ in range(2))
    begun = np.ones(5, dtype=bool)
    found = []
    for _ in range(40):
        actions = rng.choice([2, *range(20, 50)], size=5)
        _, reward, ended, _, _ = lanes.step(actions)
        for row in np.flatnonzero(begun):
            episodes[row].append(int(actions[row]))
            rewards[row].append(float(reward[row]))
            if ended[row]:
                found.append((episodes[row], rewards[row]))
                episodes[row], rewards[row] = [], []
        begun = ~ended if mode == "NextStep" else np.ones(5, dtype=bool)
    single = SequenceEnv(words(), **options)
    assert len({len(actions) for actions, _ in found}) > 3
    for actions, given in found[:12]:
        single.reset()
        np.testing.assert_allclose([single.step(a)[1] for a in actions], given, atol=1e-4)


def test_primers_of_a_file(folder, tmp_path):
    file = tmp_path / "prompts.txt"
    file.write_text("the cat sat\nthe dog\n")
    env = SequenceEnv(words(), prior=str(folder), length=10, primer=str(file))
    texts = set()
    for seed in range(8):
        tokens = env.reset(seed=seed)[0]["tokens"]
        texts.add(env.domain.to_text(tokens))
    assert texts == {"the cat sat", "the dog"}
    file.write_text("the cat sat\n\nthe dog\n")
    with pytest.raises(ValueError, match=r"line 2 of .*: it is empty, and each line"):
        SequenceEnv(words(), prior=str(folder), length=10, primer=str(file))


# -- what is refused ------------------------------------------------------------------------------


def test_a_prompt_longer_than_the_horizon(folder):
    with pytest.raises(ValueError, match=r"primer has \d+ tokens and must be shorter than length"):
        SequenceEnv(words(), prior=str(folder), length=4, primer="the cat sat on the mat")


def test_a_prompt_with_unknown_characters(folder):
    with pytest.raises(ValueError, match="no token for 'Q'"):
        SequenceEnv(words(), prior=str(folder), length=9, primer="the Q")


def test_a_horizon_longer_than_the_model_reads(folder):
    env = SequenceEnv(words(), prior=str(folder), length=65)
    with pytest.raises(ValueError, match="reads 64 positions, and length is 65"):
        env.reset()


def test_no_tokenizer(broken):
    for path in broken.glob("tokenizer*"):
        path.unlink()
    assert "it has no tokenizer: put tokenizer.json" in refused(broken)


def test_pickled_weights(broken):
    (broken / "model.safetensors").rename(broken / "pytorch_model.bin")
    assert "pickled (pytorch_model.bin), and nothing is unpickled" in refused(broken)
    (broken / "pytorch_model.bin").unlink()
    assert "it has no weights" in refused(broken)


def test_a_tokenizer_without_an_end(broken):
    path = broken / "tokenizer_config.json"
    config = json.loads(path.read_text())
    del config["eos_token"]
    path.write_text(json.dumps(config))
    assert "has no end token: set eos_token in tokenizer_config.json" in refused(broken)


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
def test_code_of_the_folder(broken, name):
    path = broken / name
    config = json.loads(path.read_text()) | {"auto_map": {"AutoConfig": "evil.Config"}}
    path.write_text(json.dumps(config))
    (broken / "evil.py").write_text("raise SystemExit('it was run')")
    assert "code of a folder is never run" in refused(broken)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"vocab_size": 10**12}, "promises"),
        ({"n_layer": 10**9}, "promises"),
        ({"n_embd": 48}, "weights lack"),
        ({"n_layer": 3}, "weights lack"),
        ({"model_type": "nothing-like-it"}, "nothing-like-it"),
        ({"vocab_size": "many"}, "vocab_size.* expected int"),
        ({"quantization_config": {"quant_method": "gptq", "bits": 4}}, "weights are quantized"),
        ({"vocab_size": 40}, "token id 56, and the model outputs for 0..39"),
    ],
)
def test_a_configuration_that_is_not_the_weights(broken, change, says):
    import re

    path = broken / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    assert re.search(says, refused(broken))


def test_an_adapter_is_no_model(broken):
    """Its configuration names another folder, or one of the hub, that would be read instead."""
    config = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "base_model_name_or_path": "gpt2"}
    (broken / "adapter_config.json").write_text(json.dumps(config))
    assert "it is an adapter (adapter_config.json) and no whole model" in refused(broken)
    (broken / "config.json").unlink()
    assert "it is an adapter (adapter_config.json) and no whole model" in refused(broken)


def test_weights_that_are_damaged(broken):
    path = broken / "model.safetensors"
    data = path.read_bytes()
    for damaged in (data[:100], b"", data[:-100], b"\xff" * 64):
        path.write_bytes(damaged)
        refused(broken)


def test_weights_that_are_not_finite(broken):
    from safetensors.torch import load_file, save_file

    path = broken / "model.safetensors"
    weights = load_file(path)
    weights["transformer.ln_f.bias"][3] = float("nan")
    save_file(weights, path, metadata={"format": "pt"})
    assert "transformer.ln_f.bias are not finite" in refused(broken)


def test_without_the_extra(folder, monkeypatch):
    import sys

    from seqgen_envs.language_models import folder as module

    module._load.cache_clear()
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ImportError, match=r"pip install 'seqgen\[hf\]'"):
        load_prior_folder(folder)
