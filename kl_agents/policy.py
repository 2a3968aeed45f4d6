"""The policy: a value network read through a backup, in Stable-Baselines3's ``predict`` form."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3.common.policies import BasePolicy
from torch import Tensor

from kl_agents.backups import Backup, without_impossible
from kl_agents.language_networks import LanguageNetwork, export
from kl_agents.networks import described, make_network, weights_of
from seqgen_envs.prior import Prior
from seqgen_envs.recurrent import State
from seqgen_envs.rollout import sample_rows
from seqgen_envs.starts import MIN_LOG_PROB

StateArrays = tuple[NDArray[np.float32], ...]


class SequencePolicy(BasePolicy):
    """Acts on Q, Psi or G of a value network: recurrent, or the prior's language model.

    Args:
        observation_space: ``Dict(tokens, log_prior)`` of a sequence environment.
        action_space: ``Discrete(V)``.
        lr_schedule: learning rate of the remaining progress.
        backup: how values become a policy.
        prior: the frozen prior the network starts from, or that a saved one is a change of.
        init, scale, initial_value, architecture, lora_rank, unit: see
            :func:`kl_agents.networks.make_network`.
        network_config: description of a saved network, made again of it (and of ``prior``).
        prime_tokens: how many first tokens of an episode are drawn from the prior when not
            deterministic.
        adam: further arguments of ``torch.optim.Adam``.

    Attributes:
        network, target: g(s, a) of the online and of the lagging network.
        c: temperature it acts at; set it to any other, the policy follows at once.
        rng: what :meth:`predict` draws from.

    Raises:
        ValueError: the observation space lacks ``tokens`` or ``log_prior``.
    """

    def __init__(
        self,
        observation_space: spaces.Space[Any],
        action_space: spaces.Space[Any],
        lr_schedule: Any,
        *,
        backup: Backup,
        prior: Prior | None = None,
        init: str = "prior",
        scale: float = 10.0,
        initial_value: float | None = None,
        architecture: Mapping[str, Any] | None = None,
        lora_rank: int | None = None,
        unit: float = 1.0,
        dueling: bool = False,
        network_config: Mapping[str, Any] | None = None,
        prime_tokens: int = 0,
        adam: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(observation_space, action_space)
        check_spaces(observation_space, action_space)
        if network_config is not None:
            network = described(network_config, scale, prior)
        elif prior is not None:
            network = make_network(
                prior,
                init=init,
                scale=scale,
                initial_value=initial_value,
                architecture=architecture,
                lora_rank=lora_rank,
                unit=unit,
                dueling=dueling,
            )
        else:
            raise ValueError("SequencePolicy needs a prior, or the sizes of a saved network")
        self.network = network
        self.target = copy.deepcopy(network).requires_grad_(False)
        self.backup = backup
        self.prime_tokens = prime_tokens
        self.c = 1.0
        self.rng = np.random.default_rng()
        given: dict[str, Any] = dict(adam or {})
        if not {"fused", "foreach", "differentiable"} & given.keys():
            given["fused"] = True  # one pass over each weight instead of a dozen
        try:
            self.optimizer = torch.optim.Adam(weights_of(network), lr=lr_schedule(1), **given)
        except (TypeError, ValueError) as error:
            raise ValueError(f"adam must hold arguments of torch.optim.Adam: {error}") from error
        self._stepper: Any = None
        self._handed: tuple[StateArrays, State] = ((), ())  # the last state, as it was returned

    @property
    def vocabulary_size(self) -> int:
        """V."""
        return int(self.action_space.n)  # type: ignore[attr-defined]

    def weights_changed(self) -> None:
        """Call after the network's weights change: the next step folds them anew."""
        self._stepper, self._handed = None, ((), ())

    def log_policy(self, log_prior: NDArray[Any], g: Tensor) -> NDArray[np.float32]:
        """log pi(.|s) [N, V] from log p and g in reward units."""
        prior = torch.from_numpy(np.asarray(log_prior, dtype=np.float32))
        values = self.backup.values(prior, g.cpu(), self.c)
        return self.backup.log_policy(prior, values).numpy()

    def step(self, tokens: NDArray[np.int64], state: State | None) -> tuple[Tensor, State]:
        """g [N, V] after ``tokens`` (int64 [N]; V at the start), and the next recurrent state."""
        return self.step_tensors(torch.from_numpy(tokens), state)

    @torch.inference_mode()
    def step_tensors(self, tokens: Tensor, state: State | None) -> tuple[Tensor, State]:
        """:meth:`step`, of a tensor."""
        if state is None:
            state = self.stepper.initial_state(len(tokens))
        found: tuple[Tensor, State] = self.stepper.step(tokens.to(self.device), state)
        return found

    @property
    def stepper(self) -> Any:
        """The network one token at a time, of its weights as they are."""
        if self._stepper is None:
            self._stepper = self.network.stepper()
        return self._stepper

    @property
    def step_some(self) -> Any:
        """:meth:`step_tensors` of some lanes, where the network can; see
        :mod:`seqgen_envs.stepping`.
        """
        return self.stepper.step if isinstance(self.network, LanguageNetwork) else None

    @torch.inference_mode()
    def read_prefixes(self, tokens: NDArray[np.int64]) -> tuple[Tensor, State]:
        """g [N, V] and state after whole prefixes (int64 [N, T], padded with V)."""
        lengths = (tokens < self.vocabulary_size).sum(axis=1)
        start = np.full(len(tokens), self.vocabulary_size)
        g, state = self.step(start, None)
        for t in range(int(lengths.max(initial=0))):
            next_g, next_state = self.step(tokens[:, t], state)
            alive = torch.from_numpy(lengths > t).to(self.device)
            g = _where(alive, next_g, g)
            state = tuple(_where(alive, n, s) for n, s in zip(next_state, state, strict=True))
        return g, state

    def predict(
        self,
        observation: Any,
        state: StateArrays | None = None,
        episode_start: NDArray[np.bool_] | None = None,
        deterministic: bool = False,
        action_masks: NDArray[Any] | None = None,
    ) -> tuple[NDArray[np.int64], StateArrays]:
        """Actions for one observation or a batch, and the recurrent state to pass next time.

        Without ``state`` the whole prefix in ``tokens`` is read, so stateless use is right too,
        and slower.

        Args:
            observation: ``{"tokens": [T] or [N, T], "log_prior": [V] or [N, V]}``.
            state: what the last call returned.
            episode_start: bool [N]: lanes whose state must be begun anew.
            deterministic: the likeliest action instead of a sample.
            action_masks: 1 or True for the tokens that may follow, [V] or [N, V]; masked ones are
                already at the floor of ``log_prior`` in this package's environments.

        Raises:
            ValueError: the observation is not such a mapping, or a mask forbids every token.
        """
        log_policy, after = self.distribution(
            observation, state, episode_start, action_masks, primed=not deterministic
        )
        actions = log_policy.argmax(axis=1) if deterministic else sample_rows(log_policy, self.rng)
        single = np.ndim(observation["tokens"]) == 1
        return (actions[0] if single else actions), after

    def distribution(
        self,
        observation: Any,
        state: StateArrays | None = None,
        episode_start: NDArray[np.bool_] | None = None,
        action_masks: NDArray[Any] | None = None,
        *,
        primed: bool = True,
    ) -> tuple[NDArray[np.float32], StateArrays]:
        """log of what :meth:`predict` draws from [N, V], and the state to pass next time.

        ``primed``: the first ``prime_tokens`` of an episode come from the prior. The other
        arguments and errors are those of :meth:`predict`.
        """
        tokens, log_prior = self._arrays(observation)
        if action_masks is not None:
            log_prior = masked_log_prior(log_prior, action_masks)
        g, after = self._advance(tokens, state, episode_start)
        log_policy = self.log_policy(log_prior, g)
        if primed and self.prime_tokens:
            priming = (tokens < self.vocabulary_size).sum(axis=1) < self.prime_tokens
            reachable = without_impossible(torch.from_numpy(log_prior)).numpy()
            log_policy = np.where(priming[:, None], reachable, log_policy)
        arrays = tuple(tensor.cpu().numpy() for tensor in after)
        self._handed = (arrays, after)
        return log_policy, arrays

    def _tensors(self, state: StateArrays) -> State:
        """The tensors of a state that was returned: its own if it was the last, which may be
        written on, and otherwise copies.
        """
        arrays, tensors = self._handed
        same = len(arrays) == len(state)
        if same and all(mine is given for mine, given in zip(arrays, state, strict=True)):
            return tensors
        return tuple(torch.tensor(s, device=self.device) for s in state)

    def save_language_model(self, folder: str | Path, adapter: bool = False) -> Path:
        """Write the policy as a folder that transformers loads (and ``prior="FOLDER"``).

        Args:
            folder: made if need be.
            adapter: write the adapter alone (``lora_rank``), as peft loads it beside the prior.

        Raises:
            ValueError: its network is no language model; it acts at another temperature than the
                one at which the model alone is the policy; or there is no adapter.
        """
        network = self.network
        if not isinstance(network, LanguageNetwork):
            raise ValueError(
                "the policy is no language model: train it on a prior that is a folder of "
                "transformers"
            )
        if not network.whole and not math.isclose(self.c, network.unit, rel_tol=1e-6):
            raise ValueError(
                f"the policy acts at c = {self.c:g}, and the model alone is the policy at c = "
                f"{network.unit:g}: set policy.c = {network.unit:g}, or train with policy_kwargs="
                f"{{'unit': {self.c:g}}}"
            )
        return export(network, folder, adapter)

    def start_value(self, log_prior: NDArray[Any], primer: NDArray[np.int64]) -> float:
        """V(s_0) at temperature ``c``, in nats: of the state after ``primer`` (int64 [P]).

        ``log_prior`` [V] is what the prior expects there.
        """
        g, _ = self.read_prefixes(primer[None])
        prior = torch.from_numpy(np.asarray(log_prior, dtype=np.float32))[None]
        values = self.backup.values(prior, g.cpu(), self.c)
        return float(self.backup.state_value(prior, values)[0])

    def _advance(
        self,
        tokens: NDArray[np.int64],
        state: StateArrays | None,
        episode_start: NDArray[np.bool_] | None,
    ) -> tuple[Tensor, State]:
        if state is None:
            return self.read_prefixes(tokens)
        lengths = (tokens < self.vocabulary_size).sum(axis=1)
        last = np.where(
            lengths > 0, tokens[np.arange(len(tokens)), lengths - 1], self.vocabulary_size
        )
        g, after = self.step(last, self._tensors(state))
        first = np.atleast_1d(np.asarray(episode_start if episode_start is not None else False))
        if first.any():
            rows = np.flatnonzero(np.broadcast_to(first, len(tokens)))
            fresh_g, fresh = self.read_prefixes(tokens[rows])
            with torch.inference_mode():
                index = torch.from_numpy(rows).to(self.device)
                g = g.index_copy(0, index, fresh_g)
                after = tuple(a.index_copy(0, index, f) for a, f in zip(after, fresh, strict=True))
        return g, after

    def _arrays(self, observation: Any) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
        if not isinstance(observation, Mapping) or not {"tokens", "log_prior"} <= set(observation):
            raise ValueError(
                "predict needs the observation of observation='dict': a mapping with tokens and "
                f"log_prior, got {type(observation).__name__}"
            )
        tokens = np.asarray(observation["tokens"], dtype=np.int64)
        log_prior = np.asarray(observation["log_prior"], dtype=np.float32)
        return np.atleast_2d(tokens), np.atleast_2d(log_prior)

    def _predict(self, observation: Any, deterministic: bool = False) -> Tensor:
        """Stable-Baselines3's inner form of :meth:`predict`, on tensors."""
        arrays = {key: value.cpu().numpy() for key, value in observation.items()}
        return torch.as_tensor(self.predict(arrays, deterministic=deterministic)[0])

    def forward(self, observation: Any, deterministic: bool = False) -> Tensor:
        """See :meth:`_predict`."""
        return self._predict(observation, deterministic)


def _where(rows: Tensor, new: Tensor, old: Tensor) -> Tensor:
    """``new`` [N, ...] in the marked rows, bool [N], and ``old`` elsewhere."""
    if new is old:  # written in place: by what else the state holds, old rows do not look at it
        return old
    return torch.where(rows.view(-1, *[1] * (new.ndim - 1)), new, old)


def masked_log_prior(log_prior: NDArray[Any], action_masks: NDArray[Any]) -> NDArray[np.float32]:
    """log p renormalised over the allowed tokens [N, V], others at the floor.

    Raises:
        ValueError: the masks have another shape, or forbid every token of a row.
    """
    allowed = np.atleast_2d(np.asarray(action_masks)).astype(bool)
    if allowed.shape != log_prior.shape or not allowed.any(axis=1).all():
        raise ValueError(
            f"action_masks must have shape {log_prior.shape} and allow at least one token a row, "
            f"got shape {allowed.shape}"
        )
    masked = np.where(allowed, log_prior, -np.inf).astype(np.float64)
    masked -= np.logaddexp.reduce(masked, axis=1, keepdims=True)
    return np.maximum(masked, MIN_LOG_PROB).astype(np.float32)


def check_spaces(observation_space: Any, action_space: Any) -> None:
    """Raise a ValueError unless the spaces are those of ``observation="dict"``."""
    fits = (
        isinstance(observation_space, spaces.Dict)
        and {"tokens", "log_prior"} <= set(observation_space.spaces)
        and isinstance(action_space, spaces.Discrete)
    )
    if not fits:
        raise ValueError(
            "these agents need Dict(tokens, log_prior) observations and Discrete actions: make "
            f"the environment with observation='dict' (got {observation_space}, {action_space})"
        )
