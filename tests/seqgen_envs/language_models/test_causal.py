"""Steps of a language model against its whole sequences, lanes at different positions."""

import pytest
import torch

pytest.importorskip("transformers", reason="needs the extra hf")

from helpers.language_models import KINDS, model_of, prior_of, tokenizer_of
from seqgen_envs.language_models.prior import LanguageModelPrior

T, LANES, COUNT = 16, 8, 40


def sequences(prior):
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(0, prior.vocabulary.size, (COUNT, T), generator=generator)
    return tokens, torch.randint(3, T + 1, (COUNT,), generator=generator)


@pytest.mark.parametrize("kind", KINDS)
def test_steps_are_the_whole_sequence_whenever_lanes_restart(kind):
    prior = prior_of(kind, T)
    tokens, stops = sequences(prior)
    whole, fresh = prior.sequence_log_probs(tokens), prior.initial_state(1)
    state, lane, at, following = prior.initial_state(LANES), torch.arange(LANES), [0] * LANES, LANES
    restarts = 0
    for _ in range(3 * T):
        pairs = zip(lane, at, strict=True)
        before = [int(tokens[i, t - 1]) if t else prior.vocabulary.size for i, t in pairs]
        log_probs, state = prior.step(torch.tensor(before), state)
        for row in range(LANES):
            expected = whole[lane[row], at[row]]
            torch.testing.assert_close(log_probs[row], expected, atol=1e-5, rtol=0)
            at[row] += 1
            if at[row] == stops[lane[row]]:
                lane[row], at[row], following = following % COUNT, 0, following + 1
                restarts += 1
                with torch.inference_mode():
                    for part, one in zip(state, fresh, strict=True):
                        part[row] = one[0]
    assert restarts > LANES
    assert len(set(at)) > 3


def test_a_state_that_is_stepped_twice_says_both_times_what_follows_it():
    """A step writes in place; whoever holds an earlier state must not notice."""
    prior = prior_of(length=T)
    tokens, _ = sequences(prior)
    whole = prior.sequence_log_probs(tokens[:2])
    start = torch.full((1,), prior.vocabulary.size)
    first, root = prior.step(start, prior.initial_state(1))
    branches = [prior.step(tokens[row, :1], root) for row in (0, 1)]
    for t in range(1, T - 1):  # in turns
        for row in (0, 1):
            log_probs, state = branches[row]
            torch.testing.assert_close(log_probs[0], whole[row, t], atol=1e-5, rtol=0)
            branches[row] = prior.step(tokens[row, t : t + 1], state)
    torch.testing.assert_close(first[0], whole[0, 0], atol=1e-5, rtol=0)


def test_some_lanes_are_stepped_without_the_others():
    prior = prior_of("llama", T)
    tokens, _ = sequences(prior)
    whole, state = prior.sequence_log_probs(tokens[:LANES]), prior.initial_state(LANES)
    where, at = state[0].data_ptr(), torch.zeros(LANES, dtype=torch.int64)
    for rows in ([0, 3, 4], [0], [1, 2, 3, 5, 6, 7], [0, 7], [2, 3], [0, 1, 4, 7]):
        some = torch.tensor(rows)
        before = torch.where(at > 0, tokens[torch.arange(LANES), at - 1], prior.vocabulary.size)
        log_probs, state = prior.step_some(before[some], state, some)
        torch.testing.assert_close(log_probs, whole[some, at[some]], atol=1e-5, rtol=0)
        at[some] += 1
        assert state[0].data_ptr() == where
        assert state[1].tolist() == at.tolist()


def test_a_step_writes_in_place():
    prior = prior_of(length=T)
    state = prior.initial_state(LANES)
    where = state[0].data_ptr()
    for _ in range(4):
        _, state = prior.step(torch.ones(LANES, dtype=torch.int64), state)
        assert state[0].data_ptr() == where


def test_lanes_that_read_on_past_the_end_trouble_nobody_and_say_nothing():
    prior = prior_of(length=4)
    state = prior.initial_state(2)
    state[1][0] = 4  # as if it had read all that there is room for
    log_probs, state = prior.step(torch.tensor([5, prior.vocabulary.size]), state)
    assert log_probs[0].isnan().all()
    whole = prior.sequence_log_probs(torch.tensor([[7]]))
    torch.testing.assert_close(log_probs[1], whole[0, 0], atol=1e-5, rtol=0)
    state = (state[0], torch.tensor([4, 4]))
    with pytest.raises(ValueError, match="made for sequences of 4 tokens at most"):
        prior.step(torch.tensor([5, 5]), state)


def test_special_tokens_are_never_generated():
    prior = prior_of()
    tokenizer = tokenizer_of()
    log_probs, _ = prior.step(torch.tensor([prior.vocabulary.size]), prior.initial_state(1))
    assert log_probs.exp().sum() == pytest.approx(1, abs=1e-5)
    never = {tokenizer.bos_token_id, tokenizer.unk_token_id, *range(len(tokenizer), 128)}
    assert set((log_probs[0] == -torch.inf).nonzero()[:, 0].tolist()) == never
    assert prior.vocabulary.end == tokenizer.eos_token == "</s>"


def test_more_tokens_than_the_model_has_positions():
    prior = prior_of(positions=20)
    assert prior.for_length(20).length == 20
    with pytest.raises(ValueError, match=r"reads 20 positions, and length is 21: give length=20"):
        prior.for_length(21)


def test_models_without_plain_attention_are_refused():
    import transformers

    config = transformers.BertConfig(
        vocab_size=128, hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
        intermediate_size=64, is_decoder=False,
    )  # fmt: skip
    looks_both_ways = transformers.BertLMHeadModel(config)
    with pytest.raises(ValueError, match=r"BertLMHeadModel .*(plain attention|keys and values)"):
        LanguageModelPrior(looks_both_ways, tokenizer_of(), length=8)


def test_a_sliding_window_bounds_the_length():
    import transformers

    config = transformers.MistralConfig(
        vocab_size=128, hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, intermediate_size=64, sliding_window=6,
    )  # fmt: skip
    model = transformers.MistralForCausalLM(config)
    for length in (6, None):
        assert LanguageModelPrior(model, tokenizer_of(), length=length).length == 6
    with pytest.raises(ValueError, match="slides over 6 tokens, and length is 7"):
        LanguageModelPrior(model, tokenizer_of(), length=7)


def test_the_fingerprint_is_of_the_weights_and_the_specials():
    same = [prior_of(seed=1).fingerprint, prior_of(seed=1, length=9).fingerprint]
    others = [prior_of(seed=2).fingerprint]
    others.append(LanguageModelPrior(model_of(seed=1), tokenizer_of(bos=False)).fingerprint)
    assert same[0] == same[1]
    assert len({same[0], *others}) == 3
