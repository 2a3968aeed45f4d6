"""Optional dependencies: imported where they are used, and named when they are missing."""

from __future__ import annotations

import importlib
from typing import Any


def require(module: str, extra: str) -> Any:
    """Import ``module``, which belongs to this distribution's extra ``extra``.

    Args:
        module: the module's import name, dotted or not.
        extra: the extra of ``setup.cfg`` that installs it.

    Returns:
        the imported module.

    Raises:
        ImportError: the module's package is not installed; the message is the command that installs
            it. (An installed package that itself fails to import is reported as it failed.)
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = module.partition(".")[0]
        if error.name is None or error.name.partition(".")[0] != package:
            raise
        raise ImportError(
            f"this needs the optional package {package!r}: pip install 'seqgen[{extra}]'",
            name=package,
        ) from error
