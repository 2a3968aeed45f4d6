"""``seqgen prior``: train priors, and measure what they sample."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seqgen_envs.cli.common import (
    AsWrittenOption,
    ColumnOption,
    DomainArgument,
    NeutralizeOption,
    NoStereoOption,
    PartOption,
    ThreadsOption,
    VocabularyOption,
    check_folder,
    load_corpus,
    set_threads,
)
from seqgen_envs.cli.counting import count
from seqgen_envs.cli.evaluation import evaluate
from seqgen_envs.reporting.console import say, show, show_metrics, warn

if TYPE_CHECKING:
    from seqgen_envs.datasets.corpus import Corpus
    from seqgen_envs.domain import Domain
    from seqgen_envs.pretrain import PriorTrainer, TrainingConfig
    from seqgen_envs.prior import Prior, RecurrentPrior
    from seqgen_envs.recurrent import RecurrentConfig

app = typer.Typer(help="Train priors, and measure what they sample.", no_args_is_help=True)
app.command("evaluate")(evaluate)
app.command("count")(count)

DEFAULT_PRESET = "default"
#: A preset's mark that it goes on from what another made.
SECOND_STAGE = "second_stage"


@app.command("train")
def train(
    domain: DomainArgument,
    out: Annotated[Path, typer.Option(help="Folder of the run; the prior goes into OUT/prior.")],
    data: Annotated[
        str,
        typer.Option(
            help="'corpus' (the domain's own) or another name, a file or folder that `seqgen data` "
            "reads, or a corpus (.npz)."
        ),
    ] = "corpus",
    vocabulary: VocabularyOption = None,
    part: PartOption = None,
    column: ColumnOption = None,
    no_stereo: NoStereoOption = False,
    neutralize: NeutralizeOption = False,
    as_written: AsWrittenOption = False,
    length: Annotated[
        int | None, typer.Option(min=2, help="Longest sequence kept, in tokens.")
    ] = None,
    preset: Annotated[
        str | None,
        typer.Option(help="The domain's hyper-parameters of that name; options override them."),
    ] = None,
    initial: Annotated[
        str | None,
        typer.Option(
            help="A prior to start from: a bundled one's name, or a trained one's folder."
        ),
    ] = None,
    cell: Annotated[str | None, typer.Option(help="gru or lstm.")] = None,
    hidden: Annotated[int | None, typer.Option(help="Width of a recurrent layer.")] = None,
    layers: Annotated[int | None, typer.Option(help="Recurrent layers, 1 to 3.")] = None,
    embedding: Annotated[int | None, typer.Option(help="Width of the token embedding.")] = None,
    dropout: Annotated[float | None, typer.Option(help="Drop-out probability.")] = None,
    epochs: Annotated[int | None, typer.Option(help="Passes over the data, at most.")] = None,
    batch_tokens: Annotated[int | None, typer.Option(help="Tokens in a batch.")] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Peak learning rate.")] = None,
    patience: Annotated[
        int | None, typer.Option(help="Stop after so many epochs without a better validation loss.")
    ] = None,
    window: Annotated[
        int | None, typer.Option(help="Cut sequences into pieces of so many tokens.")
    ] = None,
    augment: Annotated[
        bool | None,
        typer.Option(
            "--augment/--no-augment", help="Spell each sequence anew in every epoch (molecules)."
        ),
    ] = None,
    valid_weight: Annotated[
        float | None,
        typer.Option(help="Weight of the share of valid samples beside likelihood (molecules)."),
    ] = None,
    valid_samples: Annotated[
        int | None, typer.Option(help="Sequences sampled in every step for --valid-weight.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Seed of weights, order, drop-out and samples.")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    threads: ThreadsOption = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from OUT's checkpoint, if there is one.")
    ] = False,
    jobs: Annotated[
        int | None, typer.Option(min=1, help="Processes that read files (default: one a core).")
    ] = None,
) -> None:
    """Train a prior by maximum likelihood.

    A run that was stopped goes on with the same command and --resume. TensorBoard logs are in OUT.
    """
    from seqgen_envs.pretrain import PriorTrainer
    from seqgen_envs.registration import get_domain

    kind = get_domain(domain).for_prior(initial)
    explicit = {
        "cell": cell,
        "hidden_size": hidden,
        "layers": layers,
        "embedding_size": embedding,
        "dropout": dropout,
        "epochs": epochs,
        "batch_tokens": batch_tokens,
        "learning_rate": learning_rate,
        "patience": patience,
        "window": window,
        "augment": augment,
        "valid_weight": valid_weight,
        "valid_samples": valid_samples,
        "seed": seed,
    }
    given = {name: value for name, value in explicit.items() if value is not None}
    values = preset_values(kind, preset)
    second_stage = values.pop(SECOND_STAGE, False)
    start = None if initial is None else _initial(kind, initial)
    if start is not None:
        values |= sizes_of(start)
    elif second_stage:
        raise ValueError(f"preset {preset!r} goes on from a trained prior: give --initial")
    architecture, config = _configs(kind, values | given)
    _check_run(out, resume, device)
    set_threads(threads)
    cleaning = {
        "part": part,
        "column": column,
        "no_stereo": no_stereo,
        "neutralize": neutralize,
        "as_written": as_written,
        "length": length,
        "vocabulary": vocabulary,
    }
    corpus = _corpus_of(kind, data, jobs, cleaning, start)
    show(corpus.report.table(f"Corpus: {corpus.source}"))
    for hint in corpus.report.hints:
        say(f"hint: {hint}")
    kind = kind.with_vocabulary(corpus.vocabulary)
    architecture = replace(architecture, vocabulary_size=kind.vocabulary.size)
    trainer = PriorTrainer(
        corpus,
        kind.vocabulary,
        architecture,
        config,
        out,
        device,
        augment=kind.corpora.augment,
        judge=kind.corpora.valid,
        initial=start,
    )
    if trainer.nothing_held_out:
        say(
            f"Nothing is held out, {trainer.nothing_held_out}: all {len(corpus):,} are trained on "
            f"for {config.epochs} epochs, without validation"
        )
    if trainer.before is not None:
        say(f"before: validation {trainer.before:.4f} nats per token, of the prior to start from")
    prior = trainer.train(resume, on_epoch=_say_epoch)
    _say_kept(trainer)
    show_metrics("Trained prior", summary_columns(prior.metadata))
    if kind.corpora.describe is not None:
        say(f"{kind.corpora.describe(corpus, out / 'prior')} describes the corpus")
    say(f"The prior is {out / 'prior'}. To use it:")
    say(f"  seqgen sample {domain} --prior {out / 'prior'} --out {kind.plural}")
    say(f"  SequenceEnv({domain!r}, prior={str(out / 'prior')!r})")


def _corpus_of(
    domain: Domain, data: str, jobs: int | None, options: Mapping[str, Any], start: Prior | None
) -> Corpus:
    """The corpus to train on; its tokens are those of the prior to start from, if there is one.

    Raises:
        ValueError: it cannot be read, or has other tokens than it must have.
    """
    if options["vocabulary"] is not None and start is not None:
        raise ValueError(
            "--vocabulary and --initial exclude each other: a training goes on with the tokens of "
            "the prior that it starts from"
        )
    return load_corpus(domain, data, jobs, options, any_tokens=start is None)


def preset_values(domain: Domain, preset: str | None) -> dict[str, Any]:
    """The named hyper-parameters; with no name, the domain's default ones if it has any.

    Raises:
        ValueError: the domain has no preset of that name.
    """
    from seqgen_envs.documents import read_yaml

    presets = domain.corpora.presets
    known = read_yaml(presets) if presets else {}
    if preset is None:
        return dict(known.get(DEFAULT_PRESET, {}))
    if preset not in known:
        raise ValueError(
            f"domain {domain.name!r} has no preset {preset!r}; it has {sorted(known) or 'none'}"
        )
    return dict(known[preset])


def _initial(domain: Domain, name: str) -> RecurrentPrior:
    from seqgen_envs.prior import RecurrentPrior

    prior = domain.load_prior(name)
    if not isinstance(prior, RecurrentPrior):
        raise ValueError(f"prior {name!r} is no recurrent network: training cannot start from it")
    return prior


def sizes_of(prior: RecurrentPrior) -> dict[str, Any]:
    """The architecture that training on from ``prior`` keeps: all of it but drop-out."""
    architecture = prior.network.config.to_dict()
    return {k: v for k, v in architecture.items() if k not in ("vocabulary_size", "dropout")}


def _configs(domain: Domain, values: Mapping[str, Any]) -> tuple[RecurrentConfig, TrainingConfig]:
    from seqgen_envs.pretrain import TrainingConfig
    from seqgen_envs.recurrent import RecurrentConfig

    sizes = {field.name for field in fields(RecurrentConfig)}
    unknown = sorted(set(values) - sizes - {field.name for field in fields(TrainingConfig)})
    if unknown:
        raise ValueError(f"a preset of domain {domain.name!r} has unknown settings {unknown}")
    architecture = {name: value for name, value in values.items() if name in sizes}
    training = {name: value for name, value in values.items() if name not in sizes}
    return RecurrentConfig(domain.vocabulary.size, **architecture), TrainingConfig(**training)


def _check_run(out: Path, resume: bool, device: str) -> None:
    import torch

    from seqgen_envs.pretrain import CHECKPOINT_FILE

    check_folder(out)
    if not resume and (out / CHECKPOINT_FILE).exists():
        raise ValueError(
            f"{out} already holds a run: add --resume to go on with it, or give another folder"
        )
    if device.partition(":")[0] not in ("cpu", "cuda"):
        raise ValueError(f"device must be cpu or cuda, got {device!r}")
    if device.startswith("cuda") and not torch.cuda.is_available():
        raise ValueError("device cuda is not available to PyTorch here; use --device cpu")


def _say_epoch(metrics: Mapping[str, float]) -> None:
    say(
        f"epoch {metrics['epoch']:.0f}: train {metrics['train_nats']:.4f} nats per token, "
        + (
            f"validation {metrics['validation_nats']:.4f} "
            f"(accuracy {metrics['validation_accuracy']:.3f}), "
            if "validation_nats" in metrics
            else ""
        )
        + (f"{metrics['valid_share']:.1%} valid, " if "valid_share" in metrics else "")
        + f"{metrics['tokens_per_second']:,.0f} tokens/s"
    )


def _say_kept(trainer: PriorTrainer) -> None:
    """Which epoch is kept, why the training ended, and what has become of the validation loss."""
    progress, config = trainer.progress, trainer.config
    said = [f"epoch {progress.best_epoch} is kept"]
    if trainer.nothing_held_out or config.valid_weight:
        said = [f"the last epoch, {progress.best_epoch}, is kept"]
    if progress.epoch < config.epochs:
        said += [
            f"the training stopped after {progress.epoch} of {config.epochs} epochs, as the "
            f"validation loss had not become better for {config.patience} (--patience)"
        ]
    else:
        said += [f"all {config.epochs} epochs were run"]
    if not trainer.nothing_held_out:
        start = "" if trainer.before is None else f"{trainer.before:.4f} -> "
        said += [f"validation {start}{progress.best_loss:.4f} nats per token"]
    say("; ".join(said))
    if not (trainer.nothing_held_out or config.valid_weight):
        _warn_of_nothing_learned(trainer)


def _warn_of_nothing_learned(trainer: PriorTrainer) -> None:
    progress, before = trainer.progress, trainer.before
    if before is not None and progress.best_loss >= before:
        what = "nothing was learned: the prior to start from has the better validation loss"
    elif progress.best_epoch == 0 and progress.epoch > 1:
        what = "nothing was learned after epoch 0, which is the best one"
    else:
        return
    lower = trainer.config.learning_rate / 10
    warn(f"{what}; try a lower --learning-rate, such as {lower:g}, or more sequences")


def summary_columns(training: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    """The trained prior beside the 5-gram: nats per token (lower is better) and accuracy.

    Of the splits that were held out; where nothing was, of what it was trained on.
    """
    ours, baseline = {}, {}
    for split in ("train", "validation", "test"):
        if f"{split}_nats_per_token" in training:
            ours[f"{split} nats per token"] = training[f"{split}_nats_per_token"]
            ours[f"{split} accuracy"] = training[f"{split}_accuracy"]
            baseline[f"{split} nats per token"] = training[f"{split}_nats_per_token_5gram"]
    return {"prior": ours, "5-gram": baseline}
