"""``seqgen reproduce``: the paper's experiment, from a YAML of blocks to a report.

``plan`` lists the runs, ``work`` carries them out, ``report`` and ``plots`` show them.
"""
