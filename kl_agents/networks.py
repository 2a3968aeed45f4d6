"""Value networks that start at the prior.

A :class:`ValueNetwork` gives g(s, a) in *reward units*; the learners read it as

    Psi = log p + g / c        G = g / c        Q = log p + g / c

so one network serves any temperature c, and the policy follows c at once, also after training. Its
trunk is a copy of the prior's (``init="prior"``) and its head starts at zero: at step 0 Psi is
exactly log p, G exactly 0 (both plus ``initial_value``, if given), and the policy the prior. One
that is not given is estimated from the first round of episodes, before the first update.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, get_type_hints
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn.functional import embedding

from kl_agents.checking import Within, checked
from kl_agents.language_networks import KIND, LanguageNetwork, described_network
from kl_agents.storage import DUELING
from seqgen_envs.language_models.prior import LanguageModelPrior
from seqgen_envs.prior import Prior, RecurrentPrior
from seqgen_envs.recurrent import RecurrentConfig, RecurrentNetwork, State, Stepper
from seqgen_envs.spelling import did_you_mean

INITS = ("prior", "random", "whole")


class ValueNetwork(nn.Module):
    """g(s, a) for every state of an episode, in reward units.

    Args:
        trunk: recurrent network; its head is zeroed here.
        scale: what the head's output is multiplied by: about the size of a typical return, so
            that weights of ordinary size reach it.
        keep_head: leave the head's outputs as they are: g is the trunk's own logits.
        initial_value: g of every action at first, in reward units. The policy is the prior whatever
            it is. From a value too low, all that was tried at first seems better than all that was
            not, and worse from one too high. None: 0, until :meth:`start_at` sets it.
        dueling: a second head v(s), which is added to g of every action (Wang et al. 2016).
    """

    def __init__(
        self,
        trunk: RecurrentNetwork,
        scale: float = 10.0,
        initial_value: float | None = None,
        keep_head: bool = False,
        dueling: bool = False,
    ) -> None:
        super().__init__()
        self.trunk = trunk
        self.value = nn.Linear(trunk.config.hidden_size, 1) if dueling else None
        self.scale: float = checked("scale", scale, Annotated[float, Within(0, above=True)])
        value = checked("initial_value", 0.0 if initial_value is None else initial_value, float)
        if keep_head:
            with torch.no_grad():
                trunk.head.weight.div_(self.scale)
                trunk.head.bias.div_(self.scale)
        else:
            nn.init.zeros_(trunk.head.weight)
            self.start_at(value)

    def start_at(self, value: float) -> None:
        """Make g of every action ``value``, in reward units, where nothing has been learned."""
        bias = self.trunk.head.bias
        if self.value is not None:
            nn.init.zeros_(self.value.weight)
            nn.init.zeros_(bias)
            bias = self.value.bias
        nn.init.constant_(bias, value / self.scale)

    @property
    def untrained(self) -> bool:
        """Whether g is still the same for all actions."""
        return not self.trunk.head.weight.any()

    def forward(
        self,
        tokens: Tensor,
        primer: Tensor,
        actions: Tensor | None = None,
        parts: bool = False,
    ) -> Any:
        """g [B, T, V] in the states before each of ``tokens`` (int64 [B, T], padded with V).

        Args:
            tokens: the actions of episodes.
            primer: what every episode starts with, int64 [P].
            actions: int64 [B, T], below V: g [B, T] of these alone, which takes no [B, T, V].
            parts: of a dueling network, g and v(s) [B, T], which is in it.
        """
        whole = torch.cat([primer.expand(len(tokens), -1), tokens], dim=1)
        states, head = self.trunk.shifted_states(whole)[:, len(primer) :], self.trunk.head
        if actions is None:
            found: Tensor = head(states)
        else:
            found = (states * embedding(actions, head.weight)).sum(dim=-1) + head.bias[actions]
        if self.value is not None:
            values = self.value(states)
            found = found + (values if actions is None else values[..., 0])
            if parts:
                return found * self.scale, values[..., 0] * self.scale
        return found * self.scale

    def stepper(self) -> ValueStepper:
        """The same one token at a time, of the weights as they are."""
        return ValueStepper(self)

    def description(self) -> dict[str, Any]:
        """What :func:`described` makes it again of, JSON-able."""
        sizes = self.trunk.config.to_dict()
        return sizes if self.value is None else {**sizes, DUELING: True}


class ValueStepper(Stepper):
    """A :class:`ValueNetwork` one token at a time, without gradients."""

    def __init__(self, network: ValueNetwork) -> None:
        super().__init__(network.trunk)
        self.scale = network.scale
        if network.value is not None:  # to every action's weights, so that a step costs the same
            weight, bias = self._head
            value = network.value
            self._head = (
                (weight + value.weight.detach().t()).contiguous(),
                bias + value.bias.detach(),
            )

    def step(self, tokens: Tensor, state: State) -> tuple[Tensor, State]:
        """g [N, V] after ``tokens`` (int64 [N], values 0..V), and the next state."""
        output, state = super().step(tokens, state)
        return output * self.scale, state


Network = ValueNetwork | LanguageNetwork


def described(config: Mapping[str, Any], scale: float, prior: Prior | None = None) -> Network:
    """The network that a ``description()`` tells of, with weights to be loaded.

    ``prior``: a language model's own, if it is at hand.

    Raises:
        ValueError: that prior cannot be had, or is another one.
    """
    if config.get("kind") == KIND:
        return described_network(config, prior)
    sizes = {name: value for name, value in config.items() if name != DUELING}
    trunk = RecurrentNetwork(RecurrentConfig(**sizes))
    return ValueNetwork(trunk, scale, dueling=bool(config.get(DUELING)))


def make_network(
    prior: Prior,
    *,
    init: str = "prior",
    scale: float = 10.0,
    initial_value: float | None = None,
    architecture: Mapping[str, Any] | None = None,
    lora_rank: int | None = None,
    unit: float = 1.0,
    dueling: bool = False,
) -> Network:
    """A value network for the vocabulary of ``prior``.

    Args:
        prior: the environment's frozen prior.
        init: ``"prior"`` copies its trunk; ``"whole"`` its head too, for a learner whose policy is
            the network's own softmax; ``"random"`` starts from scratch.
        scale, initial_value: see :class:`ValueNetwork`.
        architecture: sizes (:class:`~seqgen_envs.recurrent.RecurrentConfig` without the
            vocabulary) of a network from scratch; default: the prior's, or one GRU of 64.
        lora_rank, unit: of a language model; see :class:`~.language_networks.LanguageNetwork`.

    Raises:
        ValueError: an unknown ``init``, an ``architecture`` beside a copy, a ``lora_rank`` for what
            is no language model, or a prior that has nothing to copy.
    """
    if init not in INITS:
        raise ValueError(f"init must be one of {list(INITS)}, got {init!r}")
    if init != "random" and isinstance(prior, LanguageModelPrior) and architecture is None:
        return LanguageNetwork(
            prior, whole=init == "whole", lora_rank=lora_rank, unit=unit, scale=scale,
            initial_value=initial_value,
        )  # fmt: skip
    if lora_rank is not None:
        raise ValueError(
            "lora_rank is for copies of a language model: give a prior that is a folder of "
            "transformers, and no init='random'"
        )
    if init != "random":
        if architecture is None and not isinstance(prior, RecurrentPrior):
            raise ValueError(
                f"a {type(prior).__name__} has no recurrent trunk to copy: give "
                "policy_kwargs={'init': 'random'}"
            )
        if architecture is not None or not isinstance(prior, RecurrentPrior):
            raise ValueError(
                f"architecture goes with init='random'; init={init!r} copies the prior's"
            )
        trunk = _without_dropout(prior.network)
        return ValueNetwork(trunk, scale, initial_value, keep_head=init == "whole", dueling=dueling)
    if architecture is None and isinstance(prior, RecurrentPrior):
        config = RecurrentConfig(**{**prior.network.config.to_dict(), "dropout": 0.0})
    else:
        default = {"cell": "gru", "embedding_size": 32, "hidden_size": 64}
        sizes = {**default, **(architecture or {})}
        config = RecurrentConfig(vocabulary_size=prior.vocabulary.size, **_sizes(sizes))
    return ValueNetwork(RecurrentNetwork(config), scale, initial_value, dueling=dueling)


def _sizes(architecture: Mapping[str, Any]) -> dict[str, Any]:
    kinds = get_type_hints(RecurrentConfig)
    for name in architecture:
        if name not in kinds:
            raise ValueError(f"architecture has no {name!r}{did_you_mean(name, kinds)}")
    return {n: checked(f"architecture.{n}", v, kinds[n]) for n, v in architecture.items()}


def _without_dropout(network: RecurrentNetwork) -> RecurrentNetwork:
    """A trainable copy; values must be functions of the state, so nothing is dropped."""
    config = RecurrentConfig(**{**network.config.to_dict(), "dropout": 0.0})
    fresh = RecurrentNetwork(config)
    fresh.load_state_dict(network.state_dict())  # which copies
    return fresh.requires_grad_(True)


@torch.no_grad()
def polyak(online: nn.Module, target: nn.Module, tau: float) -> None:
    """target <- (1 - tau) target + tau online."""
    torch._foreach_lerp_(_lagging_weights(online, target), weights_of(online), tau)


_WEIGHTS: WeakKeyDictionary[nn.Module, list[Tensor]] = WeakKeyDictionary()


def weights_of(network: nn.Module) -> list[Tensor]:
    """The network's parameters that are trained: to walk through its modules takes as long as an
    Adam step.
    """
    found = _WEIGHTS.get(network)
    if found is None:
        found = _WEIGHTS[network] = [x for x in network.parameters() if x.requires_grad]
    return found


_LAGGING: WeakKeyDictionary[nn.Module, list[Tensor]] = WeakKeyDictionary()


def _lagging_weights(online: nn.Module, target: nn.Module) -> list[Tensor]:
    """The target's parameters that follow those of the online network in training."""
    found = _LAGGING.get(target)
    if found is None:
        pairs = zip(online.parameters(), target.parameters(), strict=True)
        found = _LAGGING[target] = [lag for mine, lag in pairs if mine.requires_grad]
    return found
