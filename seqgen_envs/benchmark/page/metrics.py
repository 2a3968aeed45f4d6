"""What the metrics of the suites are called and mean, for readers."""

from __future__ import annotations

MEANINGS = {
    "auc_top10": "area under the mean of the ten best sequences against oracle calls, over the "
    "budget (Gao et al. 2022); 1 is the most there is",
    "auc_top1": "the same of the one best",
    "top10": "mean score of the ten best sequences at the end",
    "calls": "distinct sequences that the oracle scored",
    "calls_outside": "those of them that it scored outside the training",
    "requests": "sequences that were asked about, repeats and invalid ones too",
    "scaffolds_of_best": "different scaffolds among the 100 best",
    "diversity_of_best": "one less the mean similarity of the 100 best to each other",
    "steps": "environment steps of the training",
    "objective": "J = E[R] / c - KL(q || p), in nats: the task's return against the distance to "
    "the prior. The largest there is, is log Z",
    "log_z": "log Z, the bound of J: exact where it can be enumerated, otherwise a lower bound",
    "kl_to_optimum": "KL(q || q*), in nats: log Z - J; 0 is the optimum. Not known (-) where "
    "log Z cannot be trusted",
    "objective_at_least": "a lower bound of J, of an agent that shows no action probabilities but "
    "bounds its KL to the prior",
    "log_z_best": "the largest lower bound of log Z that is known, stored ones among them",
    "log_z_upper": "an upper bound of log Z, where one is stored",
    "kl_to_optimum_at_most": "the same against the upper bound: it is no farther from the optimum",
    "kl_to_prior": "KL(q || p) of whole sequences, in nats: how far the agent is from its data",
    "log_prior": "mean log p of a step, in nats: how likely the prior finds what the agent writes",
    "task_return": "R, the sum of the task's rewards of a sequence",
    "distinct": "share of different sequences",
    "relative_speed": "steps a second of the training, over those of sampling the prior alone",
    "steps_per_second": "environment steps a second of the training",
    "prior_steps_per_second": "the same of sampling the prior alone",
}


def readable(name: str) -> str:
    """``kl_to_prior`` is "KL to prior"."""
    words = name.replace("_", " ")
    for short, long in (("kl ", "KL "), ("auc ", "AUC "), ("log z", "log Z")):
        words = words.replace(short, long)
    return words
