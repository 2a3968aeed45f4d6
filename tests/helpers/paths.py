"""Where the repository and the recorded values are."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DATA = ROOT / "tests" / "data"
#: Small inputs of guests that once failed.
MOLECULES = DATA / "cases" / "molecule"
