"""sb3-contrib's MaskablePPO on molecules that cannot become invalid, and its RecurrentPPO.

    python examples/clients/contrib_ppo.py [--algorithm MaskablePPO] [--steps 16384]

Written for sb3-contrib 2.9.2, gymnasium 1.4.0 and torch 2.13.0; about half a minute each.
``MaskablePPO`` asks the environment for its masks (``action_masks``), here those that let only
tokens follow from which a valid SMILES can be written; ``RecurrentPPO`` sees the last token alone
and remembers the others itself.
"""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import sb3_contrib

from seqgen_envs.adapters.sb3 import SB3VecEnv, make_sb3_vec_env

LANES = 32
#: Environment, its keywords, and the policy, of each algorithm.
MADE: dict[str, tuple[str, dict[str, Any], str]] = {
    "MaskablePPO": (
        "MoleculeGen-v0",
        {"length": 32, "observation": "flat", "mask": "partial-smiles"},
        "Mlp",
    ),
    "RecurrentPPO": ("MelodyGen-v0", {"observation": "last_token"}, "MlpLstm"),
}


def mean_return(model: Any, env: SB3VecEnv, episodes: int = 2 * LANES) -> float:
    """Of episodes drawn from the policy."""
    masked = isinstance(model, sb3_contrib.MaskablePPO)
    seen, state, first, returns = env.reset(), None, np.ones(LANES, dtype=bool), []
    while len(returns) < episodes:
        more = {"action_masks": env.action_masks()} if masked else {"episode_start": first}
        actions, state = model.predict(seen, state, **more)
        seen, _, first, infos = env.step(actions)
        returns += [info["episode"]["r"] for info in infos if "episode" in info]
    return float(np.mean(returns))


def main() -> None:
    """Train, and say what was reached."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--algorithm", choices=list(MADE), default="MaskablePPO")
    parser.add_argument("--steps", type=int, default=16_384, help="of all lanes together")
    options = parser.parse_args()
    env_id, keywords, policy = MADE[options.algorithm]
    env, judged = (make_sb3_vec_env(env_id, num_envs=LANES, **keywords) for _ in range(2))
    settings = {"n_steps": 64, "batch_size": 512, "n_epochs": 4, "gamma": 1.0, "ent_coef": 0.01}
    model = getattr(sb3_contrib, options.algorithm)(
        f"{policy}Policy", env, learning_rate=1e-3, seed=0, device="cpu", **settings
    )
    before = mean_return(model, judged)
    model.learn(options.steps)
    after = mean_return(model, judged)
    print(f"mean return of an episode: {before:.1f} before, {after:.1f} after")


if __name__ == "__main__":
    main()
