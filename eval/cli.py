"""``chinwag evaluate``: run, compare, correlate, selfchat, safety, memorisation. Options in, a call, files out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.console import Console

    from eval.offline.answerer import Work
    from eval.offline.suite import Suite

BASE = "smollm2-135m-instruct"
app = typer.Typer(no_args_is_help=True, help="Measure models, decoders and personas; every number with its interval.")

Out = Annotated[Path, typer.Option(help="Folder for the results; an interrupted run goes on where it stopped")]
Model = Annotated[str | None, typer.Option(help="Name, checkpoint folder or hub id; see: chinwag models")]
Preset = Annotated[str | None, typer.Option(help="How to decode: beam, blenderbot, meena, greedy …")]
Seed = Annotated[int, typer.Option(help="Makes sampled replies and intervals repeatable")]
Data = Annotated[Path | None, typer.Option(help="Folder with the files that the suite names")]
Quote = Annotated[
    bool, typer.Option("--quote/--no-quote", help="Print lines of the data; --no-quote: of our own suites alone")
]
Threads = Annotated[int | None, typer.Option(help="Processor threads; default: all cores")]


@app.callback()
def evaluate() -> None:
    """Measure models, decoders and personas; every number with its interval."""
    import sys
    from importlib.util import find_spec

    from dialogue.errors import MissingExtra

    missing = [name for name in ("scipy", "sacrebleu", "matplotlib", "sklearn", "zstandard") if find_spec(name) is None]
    if missing and "--help" not in sys.argv:
        raise MissingExtra(f"Evaluation needs {', '.join(missing)}", "evaluate")


@app.command()
def run(
    out: Out,
    suite: Annotated[
        str, typer.Option(help="smoke, standard, ranking, release, or a .toml file of your own")
    ] = "smoke",
    model: Model = None,
    preset: Preset = None,
    persona: Annotated[str | None, typer.Option(help="Persona card; default: the suite's")] = None,
    data: Data = None,
    contexts: Annotated[
        list[Path] | None, typer.Option(help="JSON Lines of your own in place of the suite's files")
    ] = None,
    limit: Annotated[int, typer.Option(help="At most so many items, evenly spread; 0: all")] = 0,
    seed: Seed = 0,
    workers: Annotated[int, typer.Option(help="Processes, each with a model of its own")] = 1,
    ray: Annotated[
        str | None, typer.Option(help="Use the Ray cluster at this address (“auto”: the one around)")
    ] = None,
    tracking: Annotated[Path | None, typer.Option(help="correlations.json of `evaluate correlate` to quote")] = None,
    quote: Quote = True,
    threads: Threads = None,
) -> None:
    """Answer and score a suite's contexts; write report.html, report.md and report.json."""
    from dataclasses import replace

    from dialogue.decoding.config import preset as check_preset
    from eval.offline.run_report import report_run
    from eval.offline.runner import Plan
    from eval.offline.suite import load_items, load_suite
    from eval.offline.tracking import load_tracking

    if preset:
        check_preset(preset)
    chosen = load_suite(suite)
    chosen = chosen if persona is None else replace(chosen, persona=persona)
    found, quoted, console = load_items(chosen, data, contexts or (), limit), load_tracking(tracking), _console()
    work = _work(chosen, model, preset, seed, threads)
    plan = Plan(chosen, found.items, found.hashes, work, out, workers, ray)
    data_made = report_run(out, chosen, _with_progress(plan, console), quoted, quote=quote)
    for name, metric in data_made["metrics"].items():
        console.print(f"{name:24} {_shown(metric['overall'])}", highlight=False)
    console.print(f"Report: {out / 'report.html'}")


@app.command()
def correlate(
    out: Out,
    data: Annotated[Path, typer.Option(help="Folder with rated files (FED, GRADE, DSTC9, HuLiC … in JSON Lines)")],
    model: Annotated[str, typer.Option(help="The model whose likelihood is judged; “none”: no likelihood")] = "",
    per_set: Annotated[int, typer.Option(help="Rated replies of each data set, chosen by hash; 0: all")] = 300,
    talks_per_set: Annotated[int, typer.Option(help="Rated talks of each data set; 0: all")] = 100,
    per_talk: Annotated[int, typer.Option(help="Replies scored of a rated talk")] = 2,
    runs: Annotated[
        list[Path] | None, typer.Option(help="Folders of `evaluate run`: perplexity against automatic SSA")
    ] = None,
    resamples: int = 1000,
    seed: Seed = 0,
    threads: Threads = None,
) -> None:
    """Hold every metric against human labels; train and examine the automatic SSA."""
    from eval.offline.correlate import Sample, rated_files, sampled
    from eval.offline.correlation_report import make_correlation_report

    console = _console()
    files = rated_files(data)
    rated = sampled(files, Sample(per_set, talks_per_set, per_talk))
    judge = None if model == "none" else _loaded(model, threads, console)
    on_done = _bar(console, "rated items", len(rated))
    make_correlation_report(rated, files, judge, out, runs or [], resamples=resamples, seed=seed, on_done=on_done)
    console.print(f"Report: {out / 'correlations.html'}")


def _loaded(model: str, threads: int | None, console: Console) -> Any:
    from bot.bootstrap import open_model
    from bot.settings import load_settings

    return open_model(load_settings(model=model, threads=threads), lambda line: console.print(line, style="dim"))


def _bar(console: Console, what: str, total: int) -> Callable[[int], None]:
    """A progress bar that ends by itself when everything is done."""
    from rich.progress import Progress

    progress = Progress(console=console)
    bar = progress.add_task(what, total=total)
    progress.start()

    def advance(count: int) -> None:
        progress.advance(bar, count)
        if progress.finished:
            progress.stop()

    return advance


@app.command()
def compare(
    first: Annotated[Path, typer.Argument(help="Folder of an `evaluate run`")],
    second: Annotated[Path, typer.Argument(help="Folder of another one over the same contexts")],
    out: Out,
    resamples: int = 2000,
    quote: Quote = True,
    seed: Seed = 0,
) -> None:
    """Two runs side by side: paired bootstrap, effects, wins and losses, and pairs for the rating console."""
    from eval.offline.compare import compare_runs

    compare_runs(first, second, out, resamples=resamples, seed=seed, quote=quote)
    _console().print(f"Report: {out / 'comparison.html'}; for the rating console: {out / 'pairs.jsonl'}")


@app.command()
def selfchat(
    out: Out,
    model: Model = None,
    other_model: Annotated[str | None, typer.Option(help="The second bot's model; default: the first's")] = None,
    preset: Preset = None,
    other_preset: Annotated[str | None, typer.Option(help="The second bot's decoding; default: the first's")] = None,
    persona: Annotated[str, typer.Option(help="The first bot's persona card")] = "robin",
    other_persona: Annotated[str | None, typer.Option(help="The second bot's; default: the first's")] = None,
    openers: Annotated[
        Path | None, typer.Option(help="Contexts whose last turns begin the talks; default: ours")
    ] = None,
    talks: Annotated[int, typer.Option(help="How many talks")] = 20,
    turns: Annotated[int, typer.Option(help="Turns of a talk, the opener included")] = 14,
    seed: Seed = 0,
    threads: Threads = None,
) -> None:
    """Let two models, personas or decoders talk to each other; count loops and contradictions."""
    from eval.offline.corpora import read_items, spread
    from eval.offline.selfchat import Side, chat
    from eval.offline.selfchat_report import selfchat_report
    from eval.offline.suite import SHIPPED

    console = _console()
    items = read_items(openers or SHIPPED / "everyday_en.jsonl")
    lines = [items[place].context[-1] for place in spread(range(len(items)), talks)]
    one = Side(model or "", preset or "", persona)
    two = Side(other_model or one.model, other_preset or one.preset, other_persona or persona)
    rows = chat((one, two), lines, turns, out, seed=seed, threads=threads, on_done=_bar(console, "talks", len(lines)))
    selfchat_report(rows, (one, two), out, seed=seed)
    console.print(f"Report: {out / 'selfchat.html'}; for the rating console: {out / 'talks.jsonl'}")


@app.command()
def safety(
    out: Out,
    model: Model = None,
    preset: Preset = None,
    persona: Annotated[str | None, typer.Option(help="Persona card")] = None,
    language: Annotated[list[str] | None, typer.Option(help="en, ko; default: both")] = None,
    judge: Annotated[Path | None, typer.Option(help="Folder of labelled texts, to fit an independent judge on")] = None,
    limit: Annotated[int, typer.Option(help="Prompts of every kind; 0: all")] = 0,
    seed: Seed = 0,
    threads: Threads = None,
) -> None:
    """Instigator, yea-sayer, impostor: through the whole engine and through the bare model."""
    from bot.settings import load_settings
    from eval.safety_judges import fit_judge
    from eval.safety_report import safety_report
    from eval.safety_suite import read_prompts, run_suite

    console = _console()
    languages = tuple(language or ("en", "ko"))
    settings = load_settings(model=model, preset=preset, persona=persona, threads=threads)
    linear = fit_judge(judge, seed) if judge else None
    total = sum(not limit or int(p.id.rsplit("-", 1)[1]) <= limit for p in read_prompts(languages))
    bar = _bar(console, "replies", 2 * total)
    _, found = run_suite(settings, out, languages=languages, seed=seed, judge=linear, limit=limit,
                         on_done=lambda system: bar(1))  # fmt: skip
    safety_report(out, settings.model or "the default model", found, seed, linear.trained_on if linear else 0)
    console.print(f"Report: {out / 'safety.html'}")


@app.command()
def memorisation(
    out: Out,
    seen: Annotated[list[Path], typer.Option(help="File of talks that the model was trained on; repeat for more")],
    unseen: Annotated[list[Path], typer.Option(help="File of talks that it was not trained on; repeat for more")],
    model: Model = None,
    reference: Annotated[str, typer.Option(help="Model to compare likelihoods with; “none”: none")] = BASE,
    pairs: Annotated[int, typer.Option(help="Training replies, and as many held-out ones")] = 200,
    samples: Annotated[int, typer.Option(help="Free samples; Carlini et al. draw many thousands")] = 1000,
    own_talks: Annotated[
        int, typer.Option(help="Contexts of the talks that come with the program, for a model trained on those")
    ] = 0,
    canaries: Annotated[int, typer.Option(help="Canaries for each number of repetitions, in a twin; 0: none")] = 0,
    twin_talks: Annotated[int, typer.Option(help="Talks that the twin is trained on")] = 8,
    twin_steps: Annotated[int, typer.Option(help="Steps of the twin's training")] = 200,
    twin_tokens: Annotated[int, typer.Option(help="Tokens of a step")] = 128,
    quote: Quote = True,
    seed: Seed = 0,
    threads: Threads = None,
) -> None:
    """What of its training talks could be got out of a model: discoverable, extracted, member or not, canaries."""
    from eval.memorisation import Audit, Parts, audit
    from eval.memorisation_report import memorisation_report
    from eval.offline.memory.canaries import Twin, adapters_of, canary_exposure

    console = _console()
    chosen = _loaded(model or "", threads, console)
    other = None if reference == "none" else _loaded(reference, threads, console)
    plan = Audit(tuple(seen), tuple(unseen), pairs, samples, seed, own=own_talks)
    total = {"corpus": 1, "membership": 2 * pairs * (2 if other else 1), "discoverable": 2 * pairs, "samples": samples}
    total["own talks"] = own_talks
    found = audit(chosen, other, plan, out, _bars(console, total))
    if canaries:
        twin = Twin(talks=twin_talks, steps=twin_steps, batch_tokens=twin_tokens, canaries=canaries)
        start = adapters_of(model)
        begun = chosen.fingerprint if start else ""
        parts = Parts(out / "parts", {"seed": seed, "talks": seen[0].name, "twin": repr(twin), "begun": begun})
        line = lambda text: console.print(text, style="dim")  # noqa: E731  # a name for one print
        found["canaries"] = parts.get("canaries", {}, lambda: canary_exposure(twin, seen[0], seed, line, start))
    about = {
        "model": chosen.name, "fingerprint": chosen.fingerprint, "reference": reference, "seed": seed, "pairs": pairs,
        "seen": [path.name for path in seen], "unseen": [path.name for path in unseen],
    }  # fmt: skip
    data = memorisation_report(out, about, found, quote=quote)
    passed = sum(row["passed"] for row in data["gate"])
    console.print(f"{passed} of {len(data['gate'])} thresholds met. Report: {out / 'memorisation.html'}")


@app.command()
def gate(
    run: Annotated[Path | None, typer.Option(help="Folder of `evaluate run`")] = None,
    safety: Annotated[Path | None, typer.Option(help="Folder of `evaluate safety`")] = None,
    memorisation: Annotated[Path | None, typer.Option(help="Folder of `evaluate memorisation`")] = None,
    thresholds: Annotated[
        Path | None, typer.Option(help="A file like eval/release_gate.toml; default: that one")
    ] = None,
) -> None:
    """Hold reports against the release thresholds; ends with an error when one is not met."""
    from dialogue.errors import UserError
    from eval.offline import gate as gates

    folders = {"run": (run, "report"), "safety": (safety, "safety"), "memorisation": (memorisation, "memorisation")}
    reports = {kind: gates.read_report(folder, name) for kind, (folder, name) in folders.items() if folder}
    if not reports:
        raise UserError("Name at least one folder with a report: --run, --safety or --memorisation.")
    checks = gates.gate(reports, thresholds or gates.SHIPPED)
    for check in checks:
        typer.echo(str(check))
    failed = sum(not check.passed for check in checks)
    if failed:
        raise UserError(f"The release gate is closed: {failed} of {len(checks)} thresholds are not met.")
    typer.echo(f"The release gate is open: all {len(checks)} thresholds are met.")


@app.command()
def publish(
    folders: Annotated[list[Path], typer.Argument(help="Folders of finished reports")],
    out: Annotated[Path, typer.Option(help="Folder with the README.md whose tables are filled in")],
) -> None:
    """Copy finished reports for readers and fill in the tables of the page before them."""
    from eval.offline.publish import publish as put

    _console().print(f"Filled in {', '.join(put(folders, out)) or 'nothing'} in {out / 'README.md'}.")


def _bars(console: Console, totals: dict[str, int]) -> Callable[[str, int], None]:
    """One progress bar after the other, by name."""
    bars: dict[str, Callable[[int], None]] = {}

    def advance(name: str, count: int) -> None:
        if name not in bars:
            bars[name] = _bar(console, name, totals[name])
        bars[name](count)

    return advance


def _work(suite: Suite, model: str | None, preset: str | None, seed: int, threads: int | None) -> Work:
    from eval.offline.answerer import Work

    settings = {name: value for name, value in (("model", model), ("threads", threads)) if value is not None}
    pmi = any(name.endswith("_pmi") for name in suite.metrics)
    return Work(settings, suite.persona, preset, seed, suite.score, pmi, {})


def _with_progress(plan: Any, console: Console) -> dict[str, Any]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from eval.offline.runner import run as run_plan

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        bars: dict[str, Any] = {}

        def on_progress(stage: str, count: int) -> None:
            if stage not in bars:
                bars[stage] = progress.add_task(stage, total=len(plan.items))
            progress.advance(bars[stage], count)

        return run_plan(plan, on_progress, lambda line: progress.console.print(line, style="dim"))


def _console() -> Console:
    from rich.console import Console

    from bot.cli.logs import set_up_logging
    from bot.settings import load_settings

    set_up_logging(load_settings().log_level)
    return Console(stderr=True)


def _shown(estimate: dict[str, Any]) -> str:
    from eval.report import with_interval

    return with_interval(estimate)
