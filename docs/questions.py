"""Does the site's search find the pages that answer what newcomers ask?

    mkdocs build -d site && python docs/questions.py site

Searches the index of a built site with lunr, which is what the site's search box uses, and fails if
a question's page is not among the first three.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from lunr import lunr

#: What is typed, and the section that answers it.
QUESTIONS = {
    "my own folder of midi files": "how-to/melodies/#my-own-folder-of-midi-files",
    "D minor": "how-to/melodies/#d-minor-or-any-other-key",
    "my own csv": "how-to/molecules/#my-own-csv-of-molecules",
    "own scoring script": "how-to/molecules/#my-own-scoring-script",
    "PPO stable-baselines3": "how-to/training/#ppo-from-stable-baselines3",
    "another c": "how-to/training/#another-c",
    "resume training": "how-to/training/#resume-a-training",
    "train longer": "how-to/training/#train-for-longer",
    "tune settings": "how-to/training/#tune-the-settings",
    "hear it": "how-to/melodies/#hear-it",
    "compare two agents": "how-to/training/#compare-two-agents",
}
FIRST = 3
#: As Material for MkDocs weighs them.
FIELDS = [{"field_name": "title", "boost": 1000}, {"field_name": "text", "boost": 1}]


def main() -> None:
    """Print what each question finds first."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("site", type=Path, help="folder of a built site")
    site = parser.parse_args().site
    documents = json.loads((site / "search" / "search_index.json").read_text(encoding="utf-8"))
    index = lunr(ref="location", fields=FIELDS, documents=documents["docs"])
    missed = []
    for question, wanted in QUESTIONS.items():
        found = [str(result["ref"]) for result in index.search(question)[:FIRST]]
        print(f"{question}: {', '.join(found)}")
        if wanted not in found:
            missed.append(question)
    if missed:
        raise SystemExit(f"not among the first {FIRST}: {', '.join(missed)}")


if __name__ == "__main__":
    main()
