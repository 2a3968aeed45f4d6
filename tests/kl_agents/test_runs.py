"""Runs in folders: exact resume after SIGKILL, evaluation."""

import json
import multiprocessing
import os
import random
import signal
import time

import gymnasium as gym
import pytest
import torch

from helpers.runs import LOGGED, keep_running, toy_spec
from kl_agents import ALGORITHMS, load
from kl_agents.callbacks import STEP, ProgressCsv, read_progress
from kl_agents.hyperparameters import load_hyperparams
from kl_agents.runs import (
    RunOptions,
    RunSpec,
    evaluate_agent,
    load_run,
    make_env,
    make_lanes,
    resume_run,
    run,
    start_run,
)
from seqgen_envs import evaluate
from seqgen_envs.evaluation import evaluate_policy_network
from seqgen_envs.exact import PrefixTree
from seqgen_envs.rollout import PriorPolicy


def same_parameters(a, b):
    mine, theirs = a.policy.state_dict(), b.policy.state_dict()
    return set(mine) == set(theirs) and all(torch.equal(mine[k], theirs[k]) for k in mine)


# -- resume ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "run"
    start_run(folder.with_name("warm-up"), toy_spec(steps=500), LOGGED)  # imports, caches
    began = time.perf_counter()
    model = start_run(folder, toy_spec(), LOGGED)
    return folder, model, time.perf_counter() - began


@pytest.mark.spawn
def test_ten_kills_change_nothing(uninterrupted, tmp_path):
    reference, whole, seconds = uninterrupted
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["kl_agents.runs"])
    folder, rng = tmp_path / "run", random.Random(time.time_ns())
    kills, resumed_from = 0, set()
    while kills < 10:
        process = context.Process(target=keep_running, args=(folder, toy_spec()))
        process.start()
        if kills % 3:  # let it get to its training; the others may die while they load
            wait_for_training(folder / "progress.csv", time.time_ns(), process)
        time.sleep(rng.uniform(0, seconds / 5))
        if process.exitcode is not None:  # it came to its end: begin another
            assert process.exitcode == 0
            assert_same_run(folder, reference, whole)
            folder = tmp_path / f"run{kills}"
            continue
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        kills += 1
        if (folder / "checkpoint.zip").exists():
            resumed_from.add(load(folder / "checkpoint.zip").num_timesteps)
    run(folder, toy_spec(), LOGGED)
    assert_same_run(folder, reference, whole)
    assert len(resumed_from) >= 3, "the kills came too early to test anything"


def wait_for_training(progress, since, process):
    """Its first act is to write the file anew."""
    while process.exitcode is None:
        if progress.exists() and progress.stat().st_mtime_ns > since:
            return
        time.sleep(0.005)


def assert_same_run(folder, reference, whole):
    finished = load(folder / "agent.zip")
    assert finished.num_timesteps == whole.num_timesteps
    assert same_parameters(finished, whole)
    assert not (folder / "checkpoint.zip").exists()
    rows, expected = (read_progress(f / "progress.csv") for f in (folder, reference))
    # the window behind ep_rew_mean and the clock begin anew
    varying = ("time/fps", "time/time_elapsed", "rollout/ep_rew_mean")
    for row in rows + expected:
        for name in varying:
            row.pop(name, None)
    assert rows == expected


@pytest.mark.parametrize("algorithm", ["q", "reinvent"])
def test_other_algorithms_resume_exactly_too(algorithm, tmp_path):
    spec = toy_spec(algorithm, steps=2000)
    whole = start_run(tmp_path / "whole", spec, RunOptions(tensorboard=False))
    interrupt(tmp_path / "part", spec, after=6)
    stopped = load(tmp_path / "part" / "checkpoint.zip")
    assert 0 < stopped.num_timesteps < whole.num_timesteps
    assert not same_parameters(stopped, whole)
    assert same_parameters(resume_run(tmp_path / "part", RunOptions(tensorboard=False)), whole)


class Interrupt(Exception):
    pass


def interrupt(folder, spec, after):
    """A run that stops with an error in some round, after checkpoints of the rounds before."""
    from stable_baselines3.common.callbacks import BaseCallback

    class Stop(BaseCallback):
        rounds = 0

        def _on_step(self):
            return True

        def _on_rollout_end(self):
            self.rounds += 1
            if self.rounds == after:
                raise Interrupt

    with pytest.raises(Interrupt):
        start_run(folder, spec, RunOptions(checkpoint_rounds=1, callbacks=[Stop()]))


def test_another_seed_ends_elsewhere(uninterrupted, tmp_path):
    _, whole, _ = uninterrupted
    other = start_run(tmp_path / "run", toy_spec(seed=4), RunOptions(tensorboard=False))
    assert not same_parameters(other, whole)


def test_evaluations_do_not_touch_the_training(uninterrupted, tmp_path):
    _, whole, _ = uninterrupted
    bare = start_run(tmp_path / "run", toy_spec(), RunOptions(tensorboard=False))
    assert same_parameters(bare, whole)


def test_a_run_that_never_checkpointed_starts_anew(uninterrupted, tmp_path):
    _, whole, _ = uninterrupted
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "config.json").write_text((uninterrupted[0] / "config.json").read_text())
    (folder / ".config.json.17.tmp.json").write_text("{")
    assert same_parameters(resume_run(folder, RunOptions(tensorboard=False)), whole)
    assert not (folder / ".config.json.17.tmp.json").exists()


def test_a_finished_run_is_only_loaded(uninterrupted):
    folder, whole, _ = uninterrupted
    before = (folder / "agent.zip").stat().st_mtime_ns
    assert same_parameters(resume_run(folder), whole)
    assert (folder / "agent.zip").stat().st_mtime_ns == before


def test_a_run_is_not_mistaken_for_another(uninterrupted):
    folder = uninterrupted[0]
    with pytest.raises(ValueError, match="already holds a run: add --resume"):
        start_run(folder, toy_spec())
    with pytest.raises(ValueError, match="seed is 3, asked for 5"):
        resume_run(folder, spec=toy_spec(seed=5))
    with pytest.raises(ValueError, match=r"\(arguments\.tau is 0\.05, asked for 0\.5\)"):
        run(folder, toy_spec(tau=0.5))


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    spec = toy_spec(steps=2000)
    interrupt(tmp_path / "run", spec, after=3)
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    config["run"]["seed"] = 8
    config["run"]["arguments"]["tau"] = 0.5
    (tmp_path / "run" / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=r"seed is 3, asked for 8; tau is 0\.05, asked for 0\.5$"):
        resume_run(tmp_path / "run")


def test_the_agents_file_says_where_it_was_trained(uninterrupted):
    folder = uninterrupted[0]
    assert load_run(folder)[0].environment == {"id": "ToyGen-v0", "kwargs": {}}


def test_training_is_in_the_environment_that_make_makes():
    spec = RunSpec.of(load_hyperparams("psi", "MelodyGen-v0"), "MelodyGen-v0", 0)
    ours, plain = make_env(spec), gym.make("MelodyGen-v0").unwrapped
    assert ours.prior.fingerprint == plain.prior.fingerprint
    assert (ours.c, ours.task.name) == (plain.c, plain.task.name)
    weights = [[term.weight for term in env.task.terms] for env in (ours, plain)]
    assert weights[0] == weights[1]


def test_damaged_and_missing_runs_are_named(uninterrupted, tmp_path):
    with pytest.raises(FileNotFoundError, match="holds no run"):
        load_run(tmp_path)
    (tmp_path / "config.json").write_text('{"run": {"algorithm"')
    with pytest.raises(ValueError, match=r"config\.json is not a run's"):
        load_run(tmp_path)
    (tmp_path / "config.json").write_text((uninterrupted[0] / "config.json").read_text())
    with pytest.raises(FileNotFoundError, match="holds no agent yet"):
        load_run(tmp_path)
    whole = (uninterrupted[0] / "agent.zip").read_bytes()
    (tmp_path / "agent.zip").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="not an agent saved by kl_agents"):
        load_run(tmp_path)


# -- progress -------------------------------------------------------------------------------------


def test_progress_goes_on_where_the_checkpoint_was(tmp_path):
    path = tmp_path / "progress.csv"
    first = ProgressCsv(path)
    for step in (10, 20, 30):
        first.write({"a": step / 10, STEP: step}, {}, step)
    first.write({"eval/b": 7.0}, {}, 30)
    first.write({"a": 4.0}, {}, 40)
    with open(path, "a") as file:
        file.write("50,0.")  # killed while writing
    second = ProgressCsv(path, done=30)
    second.write({"a": 9.0}, {}, 40)
    assert read_progress(path) == [
        {STEP: 10.0, "a": 1.0}, {STEP: 20.0, "a": 2.0}, {STEP: 30.0, "a": 3.0, "eval/b": 7.0},
        {STEP: 40.0, "a": 9.0},
    ]  # fmt: skip


def test_tensorboard_has_figures_pictures_and_sounds(tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    layers = [{"n_envs": 8, "replay_ratio": 0.1, "batch_episodes": 4}]
    merged = load_hyperparams("psi", "MelodyGen-v0", layers)
    merged.n_timesteps = 512
    spec = RunSpec.of(merged, "MelodyGen-v0", 0)
    start_run(tmp_path / "run", spec, RunOptions(eval_every=256, eval_episodes=8, media=2))
    events = EventAccumulator(str(tmp_path / "run" / "tb"), size_guidance={"images": 0, "audio": 0})
    events.Reload()
    tags = events.Tags()
    wanted = {"rollout/objective", "eval/objective", "eval/notes_in_motif", "train/start_value"}
    assert wanted <= set(tags["scalars"])
    assert set(tags["images"]) == set(tags["audio"]) == {"sequences/0", "sequences/1"}
    assert [event.step for event in events.Images("sequences/0")] == [0, 256, 512]
    audio = events.Audio("sequences/0")[0]
    assert audio.sample_rate == 22050
    assert len(audio.encoded_audio_string) > 2 * 22050  # 4 seconds


# -- evaluation -----------------------------------------------------------------------------------


def test_the_prior_agents_figures_are_the_priors():
    from seqgen_envs.lanes import Lanes
    from seqgen_envs.settings import LaneSettings

    lanes = Lanes(64, LaneSettings("toy", c=0.25))
    ours = ALGORITHMS["prior"]("SequencePolicy", "ToyGen-v0", seed=0)
    result = evaluate(ours.policy, lanes, 500, seed=1)
    assert result.kl_to_prior == pytest.approx(0, abs=1e-5)
    assert result.objective == pytest.approx(result.task_return / 0.25, abs=1e-4)
    plain = evaluate(PriorPolicy(1), lanes, 500)
    assert plain.kl_to_prior is None
    assert plain.objective is None
    assert plain.task_return == result.task_return  # the same draws
    assert plain.to_dict()["objective"] is None


def test_the_objective_is_the_exact_one(uninterrupted):
    _, whole, _ = uninterrupted
    lanes = make_lanes(toy_spec(), 256)
    result = evaluate_policy_network(whole.policy, lanes, 20_000, seed=0, discount=0.6)
    tree = PrefixTree.build(lanes.settings)
    log_policy = tree.policy_of(lambda observation: whole.policy.distribution(observation)[0])
    exact = tree.objective(log_policy, whole.policy.c)
    assert 0 < result.objective_error < 0.05
    assert result.objective == pytest.approx(exact, abs=4 * result.objective_error)
    discounted = tree.objective(log_policy, whole.policy.c, discount=0.6)
    assert abs(discounted - exact) > 1
    assert result.objective_discounted == pytest.approx(discounted, abs=0.05)
    assert result.start_value == pytest.approx(exact, abs=0.5)  # it has learned something
    assert exact > tree.objective(tree.policy_of(lambda seen: seen["log_prior"]), 0.5) + 1


def test_evaluation_is_of_its_seed_alone(uninterrupted):
    _, whole, _ = uninterrupted
    state = whole.policy.rng.bit_generator.state
    first, again, other = (
        evaluate_agent(whole, toy_spec(), 300, seed).to_dict() for seed in (0, 0, 1)
    )
    for result in (first, again, other):
        result.pop("seconds")
    assert first == again
    assert first["task_return"] != other["task_return"]
    assert whole.policy.rng.bit_generator.state == state


def test_number_of_lanes_does_not_bias_the_kl(uninterrupted):
    """Episodes end early: surplus lanes must not be counted, nor long episodes be left out."""
    _, whole, _ = uninterrupted
    few, many = (evaluate_agent(whole, toy_spec(), 4000, 0, num_envs=n) for n in (7, 1000))
    assert few.kl_to_prior == pytest.approx(many.kl_to_prior, abs=0.05)
    assert few.objective == pytest.approx(many.objective, abs=6 * few.objective_error)


def test_an_agent_acts_at_another_temperature(uninterrupted):
    _, whole, _ = uninterrupted
    cold = evaluate_agent(whole, toy_spec(), 500, 0, c=0.1)
    warm = evaluate_agent(whole, toy_spec(), 500, 0, c=100.0)
    assert warm.kl_to_prior < 0.01 < cold.kl_to_prior
    with pytest.raises(ValueError, match="c must be above 0"):
        evaluate_agent(whole, toy_spec(), 5, 0, c=0.0)


def test_a_run_says_how_it_was_made(uninterrupted):
    config = json.loads((uninterrupted[0] / "config.json").read_text())
    assert config["run"] == toy_spec().to_dict()
    assert config["run"]["env_kwargs"] == {}  # the id's own environment
    assert config["machine"]["torch"] == torch.__version__
    assert config["date"].endswith("+00:00")
