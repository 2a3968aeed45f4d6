"""Value networks that are the prior's own language model, trained further.

g(s, a) is in reward units, as of :class:`~kl_agents.networks.ValueNetwork`, and made of two models
and a line: the model in training, the prior's, and the value of a state,

    g(s, a) = unit * (logits(s, a) - prior's logits(s, a)) + scale * v(s)

so that at step 0 g is ``initial_value`` everywhere and the policy the prior. ``unit`` is the
temperature that the training ends at: at c = unit Psi = log p + g / c has the model's own softmax
for its policy, and the model alone is what is kept of it, for whoever uses transformers.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import torch
from torch import Tensor, nn

from kl_agents.checking import Within, checked
from seqgen_envs.extras import require
from seqgen_envs.language_models.causal import CausalModel
from seqgen_envs.language_models.folder import load_language_model, quiet
from seqgen_envs.language_models.prior import LanguageModelPrior
from seqgen_envs.recurrent import State

#: In the description of a network, what its kind is.
KIND = "language model"


class LanguageNetwork(nn.Module):
    """g(s, a) for every state of an episode, in reward units.

    Args:
        prior: the environment's prior; its weights are not changed, and shared where possible.
        whole: g is the trained model's logits themselves, for a learner whose policy is their
            softmax.
        lora_rank: None: a full copy of the model is trained; r: adapters of rank r
            (LoRA, Hu et al. 2022) beside weights that stay the prior's, in memory too.
        unit: reward units of a nat of difference to the prior; see above.
        scale: what v(s) is multiplied by: about the size of a typical return.
        initial_value: g of every action at first; None: 0, until :meth:`start_at` sets it.

    Attributes:
        trunk: the model in training.
        value: v, from hidden states [..., H] to [..., 1].

    Raises:
        ImportError: the extra ``hf`` is missing.
        ValueError: an argument is out of its range.
    """

    def __init__(
        self,
        prior: LanguageModelPrior,
        *,
        whole: bool = False,
        lora_rank: int | None = None,
        unit: float = 1.0,
        scale: float = 10.0,
        initial_value: float | None = None,
    ) -> None:
        super().__init__()
        self.whole = whole
        self.unit: float = checked("unit", unit, Annotated[float, Within(0, above=True)])
        self.scale: float = checked("scale", scale, Annotated[float, Within(0, above=True)])
        self.lora_rank: int | None = checked(
            "lora_rank", lora_rank, Annotated[int | None, Within(1)]
        )
        self._prior = (prior,)  # in a tuple: it is no part of this module
        self._adapted: Any = ()
        self.trunk = prior.causal.with_model(self._model(prior.causal.model))
        width = int(prior.causal.model.config.get_text_config().hidden_size)
        self.value = nn.Linear(width, 1, device=prior.causal.device)
        nn.init.zeros_(self.value.weight)
        self.start_at(checked("initial_value", initial_value or 0.0, float))
        self.register_state_dict_post_hook(_without_shared)  # type: ignore[no-untyped-call]
        self.register_load_state_dict_pre_hook(_with_shared)  # type: ignore[no-untyped-call]

    def _model(self, model: Any) -> Any:
        """What is trained of the prior's model."""
        if self.lora_rank is None:
            own = copy.deepcopy(model).float()
            return own.requires_grad_(True)
        shared = copy.deepcopy(model, {id(x): x for x in model.parameters()})
        peft = require("peft", "hf")
        config = peft.LoraConfig(
            r=self.lora_rank, lora_alpha=2 * self.lora_rank, target_modules="all-linear",
            fan_in_fan_out=model.config.model_type == "gpt2", task_type="CAUSAL_LM",
        )  # fmt: skip
        with quiet():
            adapted = peft.get_peft_model(shared, config)
        self._adapted = (adapted,)
        return adapted.get_base_model()

    def __deepcopy__(self, memo: dict[int, Any]) -> LanguageNetwork:
        """A copy of what is trained; what the prior has is shared."""
        kept = {id(x): x for x in self.shared().values()}
        other = self.__class__.__new__(self.__class__)
        memo |= kept | {id(self): other, id(self._prior[0]): self._prior[0]}
        other.__dict__.update(copy.deepcopy(self.__dict__, memo))
        return other

    # ------------------------------------------------------------------ what is whose

    def shared(self) -> dict[str, Tensor]:
        """The prior's own weights among this module's, by name."""
        theirs = {id(x) for x in self._prior[0].causal.model.parameters()}
        named = self.named_parameters(remove_duplicate=False)
        return {name: tensor for name, tensor in named if id(tensor) in theirs}

    def _apply(self, fn: Any, recurse: bool = True) -> LanguageNetwork:
        """Refuse to leave the prior's device: its weights would be moved, or be needed twice."""
        here = self._prior[0].causal.device
        there = fn(torch.empty(0, device=here)).device
        if there.type != here.type:
            raise ValueError(
                f"the prior's language model is on {here.type} and the agent on {there.type}: give "
                f"device={here.type!r}"
            )
        return self

    def description(self) -> dict[str, Any]:
        """What :func:`described_network` makes it again of, JSON-able."""
        prior = self._prior[0]
        return {
            "kind": KIND,
            "folder": str(prior.source) if prior.source else None,
            "fingerprint": prior.fingerprint,
            "length": prior.length,
            "whole": self.whole,
            "lora_rank": self.lora_rank,
            "unit": self.unit,
            "scale": self.scale,
        }

    # ------------------------------------------------------------------ values

    def start_at(self, value: float) -> None:
        """Make g of every action ``value``, in reward units, where nothing has been learned."""
        nn.init.constant_(self.value.bias, value / self.scale)

    @property
    def untrained(self) -> bool:
        """Whether v is still the same for all states, and looked at."""
        return not self.whole and not self.value.weight.any()

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
            parts: g, and of it scale * v(s) [B, T].
        """
        first = len(primer)
        sequences = torch.cat([primer.expand(len(tokens), -1), tokens], dim=1)
        hidden, found = _logits(self.trunk, sequences, first, actions)
        if self.whole:
            return found
        with torch.no_grad():
            _, theirs = _logits(self._prior[0].causal, sequences, first, actions)
        values: Tensor = self.scale * self.value(hidden.float())
        g = self.unit * (found - theirs) + (values if actions is None else values[..., 0])
        return (g, values[..., 0]) if parts else g

    def stepper(self) -> LanguageStepper:
        """The same one token at a time, of the weights as they are."""
        return LanguageStepper(self)


class LanguageStepper:
    """A :class:`LanguageNetwork` one token at a time, without gradients."""

    def __init__(self, network: LanguageNetwork) -> None:
        self.network, self._prior = network, network._prior[0].causal

    def initial_state(self, batch_size: int) -> State:
        """Keys, values and positions of the model in training, and of the prior's."""
        mine = self.network.trunk.initial_state(batch_size)
        return mine if self.network.whole else (*mine, *self._prior.initial_state(batch_size))

    @torch.inference_mode()
    def step(
        self, tokens: Tensor, state: State, rows: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """g [N, V] after ``tokens`` (int64 [N], values 0..V), and the next state.

        ``rows`` int64 [M]: tokens and g are of these lanes, the state is of all. Where no lane has
        room for a further token nobody acts any more, and g is 0.
        """
        network, position = self.network, state[1]
        if rows is not None:
            position = position[rows.to(position.device)]
        if bool((position >= network.trunk.length).all()):
            return torch.zeros(len(tokens), network.trunk.size, device=position.device), state
        hidden, mine, after = network.trunk.step(tokens, state[:2], rows)
        if network.whole:
            return mine, after
        _, theirs, prior_after = self._prior.step(tokens, state[2:], rows)
        value = network.scale * network.value(hidden.float())
        return mine.sub_(theirs).mul_(network.unit).add_(value), (*after, *prior_after)


def described_network(config: Mapping[str, Any], prior: Any = None) -> LanguageNetwork:
    """The network that a ``description()`` tells of, beside ``prior`` or the one it was made with.

    Raises:
        ValueError: that prior is not there any more, or another one.
    """
    given = dict(config)
    kind, folder, digest, length = (
        given.pop(name) for name in ("kind", "folder", "fingerprint", "length")
    )
    assert kind == KIND
    if prior is None:
        if folder is None or not Path(folder).is_dir():
            raise ValueError(
                f"the agent is a change of the language model {folder or 'that was in memory'}, "
                "which is not there: load the agent with an environment that has it, env=..."
            )
        prior = load_language_model(folder).for_length(length)
    if not isinstance(prior, LanguageModelPrior) or prior.fingerprint != digest:
        raise ValueError(
            f"the agent is a change of the language model {folder} ({digest}), and the prior is "
            f"another one ({prior.fingerprint}): give the one it was trained against"
        )
    return LanguageNetwork(prior, **given)


def export(network: LanguageNetwork, folder: str | Path, adapter: bool = False) -> Path:
    """Write the model in training as a folder that transformers loads; returns it.

    Args:
        network: see above; its policy is the model's softmax at the temperature ``unit``.
        folder: made if need be.
        adapter: write the adapter alone, as peft loads it beside the prior's folder.

    Raises:
        ValueError: an adapter is asked for, and the whole model was trained.
    """
    prior, adapted = network._prior[0], network._adapted[0] if network._adapted else None
    if adapter and adapted is None:
        raise ValueError(
            "the whole model was trained, there is no adapter: give adapter=False, or train with "
            "policy_kwargs={'lora_rank': 8}"
        )
    with quiet():
        if adapted is None:
            network.trunk.model.save_pretrained(folder)
        elif adapter:
            adapted.peft_config["default"].base_model_name_or_path = str(prior.source or "")
            adapted.save_pretrained(folder)
        else:
            copy.deepcopy(adapted).merge_and_unload().save_pretrained(folder)
        prior.tokenizer.save_pretrained(folder)
    return Path(folder)


def _logits(
    model: CausalModel, sequences: Tensor, first: int, actions: Tensor | None
) -> tuple[Tensor, Tensor]:
    """Hidden states [B, T, H] and logits [B, T, V], or [B, T] of ``actions`` alone, from the token
    number ``first`` of the sequences on.
    """
    if not model.plain_head:
        hidden, logits = (x[:, first:] for x in model.logits(sequences))
        found = logits if actions is None else logits.gather(-1, actions[..., None])[..., 0]
        return hidden, found
    hidden, head = model.hidden(sequences)[:, first:], model.head
    if actions is None:
        return hidden, head(hidden).float()
    rows = nn.functional.embedding(actions, head.weight)  # type: ignore[arg-type]
    found = (hidden.float() * rows.float()).sum(dim=-1)
    bias = getattr(head, "bias", None)
    return hidden, found if bias is None else found + bias[actions]


def _repeated(module: nn.Module) -> dict[str, str]:
    """Names of tied weights, to the name under which each is kept."""
    first: dict[int, str] = {}
    named = list(module.named_parameters(remove_duplicate=False))
    for name, tensor in named:
        first.setdefault(id(tensor), name)
    return {name: first[id(x)] for name, x in named if first[id(x)] != name}


def _without_shared(module: LanguageNetwork, state: Any, prefix: str, metadata: Any) -> None:
    """What is saved: neither the prior's weights nor any twice."""
    for name in {*module.shared(), *_repeated(module)}:
        state.pop(prefix + name, None)


def _with_shared(module: LanguageNetwork, state: Any, prefix: str, *rest: Any) -> None:
    """What is loaded: the weights that :func:`_without_shared` has left out too."""
    for name, tensor in module.shared().items():
        state.setdefault(prefix + name, tensor)
    for name, kept in _repeated(module).items():
        if prefix + kept in state:
            state.setdefault(prefix + name, state[prefix + kept])
