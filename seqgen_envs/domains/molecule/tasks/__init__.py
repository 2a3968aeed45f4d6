"""Tasks of molecules: what finished SMILES earn, and how they are scored."""

from seqgen_envs.domains.molecule.tasks.tasks import TASKS, function_task, scored_task

__all__ = ["TASKS", "function_task", "scored_task"]
