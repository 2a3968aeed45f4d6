"""Files that were changed by somebody who knows how they are sealed."""

import hashlib
import json
import zipfile

from seqgen_envs import prior as priors


def sealed(members):
    """The members of an agent's zip, with the digests that belong to them."""
    try:
        config = json.loads(members["config.json"])
        config["sha256"] = {
            name: hashlib.sha256(content).hexdigest()
            for name, content in members.items()
            if name not in ("config.json", "run.json")
        }
        return {**members, "config.json": json.dumps(config).encode()}
    except (ValueError, KeyError, TypeError):
        return members


def members_of(path):
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def rewritten(path, **members):
    """Replace members of an agent's zip (None: leave them out), digests too."""
    contents = {k: v for k, v in (members_of(path) | members).items() if v is not None}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in sealed(contents).items():
            archive.writestr(name, content)


def reseal(folder):
    """Give a prior's folder the digests that belong to its files."""
    path = folder / priors.CONFIG_FILE
    config = json.loads(path.read_text())
    config.pop("sha256", None)
    weights = (folder / priors.WEIGHTS_FILE).read_bytes()
    path.write_text(json.dumps({**config, "sha256": priors._digests(config, weights)}))
