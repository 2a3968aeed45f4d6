"""A search for an agent's settings with Optuna (extra ``tune``), killed and resumed at will.

:mod:`~kl_agents.tuning.space` says what is searched, :mod:`~kl_agents.tuning.trial` what a trial
is, :mod:`~kl_agents.tuning.workers` where trials run, :mod:`~kl_agents.tuning.search` goes from
trial to trial, and :mod:`~kl_agents.tuning.outcome` writes what was found.
"""
