"""The tables of the page that stands before finished reports: from their JSON files to Markdown, and nothing else.

A table is named; the page says where it wants which (eval/offline/publish.py). Prose is written by people.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from eval.offline.gate import gate
from eval.report import Table, markdown_table, number, with_interval

RUN_METRICS = (
    "perplexity_per_word", "bits_per_byte", "pairs_in_order", "pairs_in_order_pmi", "hits_at_1_pmi", "f1", "chrf",
    "distinct_2", "unique_replies", "self_repetition", "context_copying", "length_words", "question_rate",
    "persona_contradiction", "from_model",
)  # fmt: skip
SAFETY_JUDGES = ("unsafe_by_classifier", "agrees", "plays_expert", "points_to_help", "from_model")
Reports = Mapping[str, Mapping[str, Any]]
"""Finished reports by the name of their folder."""


def runs(reports: Reports) -> str:
    """Every run over one suite, side by side; the suite of the first one counts."""
    found = {name: report for name, report in reports.items() if report["kind"] == "run"}
    suites = [report["suite"]["name"] for report in found.values()]
    found = {name: report for name, report in found.items() if report["suite"]["name"] == suites[0]}
    heads = [f"{name} ({report['counts']['replies']} replies)" for name, report in found.items()]
    rows = [[f"`{metric}`", *(_value(report, metric) for report in found.values())] for metric in RUN_METRICS]
    return markdown_table(Table(["metric", *heads], rows))


def _value(report: Mapping[str, Any], metric: str) -> str:
    entry = report["metrics"].get(metric)
    return with_interval(entry["overall"]) if entry else "–"


def costs(reports: Reports) -> str:
    """What a reply with its likelihoods cost, by run, and what a thousand would take at that rate."""
    rows = []
    for name, report in reports.items():
        if report["kind"] == "run" and report["cost"]["replies"]:
            cost, each = report["cost"], report["cost"]["cpu_s"] / report["cost"]["replies"]
            rows.append([name, str(cost["replies"]), number(cost["cpu_s"], 1), number(each, 2),
                         number(each * 1000 / 60, 1), number(cost["joules"] / cost["replies"], 1)])  # fmt: skip
    heads = ["run", "replies", "processor s", "s a reply", "minutes of one core for 1,000", "J a reply"]
    return markdown_table(Table(heads, rows))


def comparison(report: Mapping[str, Any]) -> str:
    """Two systems and their paired difference."""
    first, second = report["systems"]
    rows = [
        [f"`{metric}`", number(row["values"][0]), number(row["values"][1]), with_interval(row["difference"]),
         number(row["difference"].get("p_holm"))]
        for metric, row in report["metrics"].items() if metric in RUN_METRICS
    ]  # fmt: skip
    return markdown_table(Table(["metric", first, second, "difference", "p (Holm)"], rows))


def safety(report: Mapping[str, Any]) -> str:
    """Every share, with and without the filter."""
    rows = [
        [row["language"], row["test"], row["kind"], row["judge"], with_interval(row["engine"]),
         with_interval(row["bare"]), str(row["count"])]
        for row in report["shares"] if row["judge"] in SAFETY_JUDGES
    ]  # fmt: skip
    return markdown_table(Table(["language", "test", "kind", "judge", "engine", "bare model", "n"], rows))


def memorisation(report: Mapping[str, Any]) -> str:
    """What was looked for, how often it was seen, and the one-sided 95% bound."""
    found, drawn = report["discoverable"], report["extraction"]
    seen, unseen = found["training contexts"], found["held-out contexts"]
    rows = [
        ["a training context brings back its own reply", _seen(seen["equal_to_their_own_reply"])],
        ["a held-out context brings back its own reply", _seen(unseen["equal_to_their_own_reply"])],
        ["the likeliest reply to a training context is a rare training reply", _seen(seen["equal_to_a_rare_reply"])],
        ["the same for a held-out context", _seen(unseen["equal_to_a_rare_reply"])],
        ["a free sample is a rare training turn", _seen(drawn["equal_to_a_rare_turn"])],
        ["a free sample shares six or more words in a row with a rare place", _seen(drawn["with_a_rare_run"])],
        ["a free sample holds something like personal data",
         _seen(report["personal_data"]["samples_with_personal_data"])],
        ["… and that piece stands in the corpus", _seen(report["personal_data"]["found_in_the_corpus"])],
    ]  # fmt: skip
    if own := report.get("own_talks"):
        contexts = own["contexts"]
        rows.append(
            ["a context of our own talks brings back its own reply", _seen(contexts["equal_to_their_own_reply"])]
        )
        rows.append(["… or a rare line of those talks", _seen(contexts["equal_to_a_rare_line"])])
        rows.append(["a free sample is a rare line of those talks", _seen(own["samples_equal_to_a_rare_line"])])
    for name, row in report["membership"].items():
        words = f"membership by {name}: AUC {number(row['auc'], 2)}; found at 0.1% false alarms"
        rows.append([words, _seen(row["tpr_at_fpr_0.001"])])
    lines = report["stored_lines"]
    bad = len(lines["copied_from_the_corpus"]) + len(lines["with_personal_data"])
    said = (
        f"Searched in a suffix index of {report['corpus_words']:,} words of the training talks; the longest run that a "
        f"sample shares with it is {drawn['longest_run_words']} words. Of {lines['lines']} stored lines {bad} are "
        "copied or personal."
    )
    return f"{markdown_table(Table(['what', 'seen; one-sided 95% bound'], rows))}\n\n{said}"


def _seen(rate: Mapping[str, Any]) -> str:
    return f"{rate['hits']:,} of {rate['count']:,}, at most {number(rate['at_most_95'], 4)}"


def canaries(report: Mapping[str, Any]) -> str:
    """Exposure in bits by how often a canary was planted."""
    found = report.get("canaries")
    if not found:
        return "Not measured."
    rows = [
        [str(row["repetitions"]), number(row["met"], 1), str(row["canaries"]), number(row["mean"], 1),
         number(row["least"], 1), number(row["greatest"], 1), str(row["first"])]
        for row in found["by_repetitions"]
    ]  # fmt: skip
    return markdown_table(Table(["planted", "met", "canaries", "mean bits", "least", "greatest", "ranked first"], rows))


def the_gate(reports: Reports) -> str:
    """The gate's lines over the run, the safety suite and the audit of the default model."""
    kinds = {"run": "default", "safety": "safety", "memorisation": "memorisation"}
    checks = gate({kind: reports[name] for kind, name in kinds.items() if name in reports})
    failed = sum(not check.passed for check in checks)
    verdict = (
        f"closed: {failed} of {len(checks)} thresholds are not met" if failed else f"open: all {len(checks)} are met"
    )
    return "\n".join(["```", *map(str, checks), f"The release gate is {verdict}.", "```"])


def left_out_sets(report: Mapping[str, Any]) -> str:
    """The automatic SSA on data sets that it did not learn from, and the best single score seen afterwards."""
    rows = [
        [row["dataset"], str(row["count"]), with_interval(row | {"value": row["spearman"]}),
         f"{row['hindsight']['metric']} {number(row['hindsight']['spearman'], 2)}"]
        for row in report["automatic_ssa"]["left_out_set"]
    ]  # fmt: skip
    return markdown_table(Table(["data set", "replies", "automatic SSA", "best single score with hindsight"], rows))


def perplexity_and_ssa(report: Mapping[str, Any]) -> str:
    """Meena's figure 1 as a table."""
    found = report.get("perplexity_and_ssa")
    if not found:
        return "Not measured."
    rows = [[row["run"], number(row["perplexity_per_word"]), number(row["automatic_ssa"])] for row in found["runs"]]
    table = markdown_table(Table(["run", "perplexity per word", "automatic SSA"], rows))
    return f"{table}\n\nR² of log perplexity: {number(found['r_squared'], 2)} over {len(rows)} models."


def selfchat(report: Mapping[str, Any]) -> str:
    """Loops and contradictions of both sides."""
    first, second = report["systems"]
    rows = [
        [f"`{name}`", with_interval(found["sides"][0]), with_interval(found["sides"][1]), found["what"]]
        for name, found in report["statistics"].items()
    ]
    return markdown_table(Table(["statistic", f"A: {first}", f"B: {second}", "what"], rows))


def made_by(reports: Reports) -> str:
    """Which commit, weights and sizes each report rests on."""
    rows = []
    for name, report in reports.items():
        rows.append([name, report["kind"], _weights(report), report["provenance"]["commit"][:8], _size(report),
                     report["provenance"]["finished"][:16]])  # fmt: skip
    return markdown_table(Table(["report", "kind", "weights", "program commit", "rests on", "finished (UTC)"], rows))


def _weights(report: Mapping[str, Any]) -> str:
    """The fingerprints of the models that a report is about."""
    made = report.get("made_by", report.get("about", report))
    found = [str(each.get("fingerprint", "")) for each in (made if isinstance(made, list) else [made])]
    return ", ".join(dict.fromkeys(filter(None, found))) or "–"


def _size(report: Mapping[str, Any]) -> str:
    match report["kind"]:
        case "run":
            return f"{report['counts']['replies']} replies"
        case "comparison":
            return f"{report['items']} contexts"
        case "safety":
            return f"{len(report['examples'])} prompts"
        case "selfchat":
            return f"{report['talks']} talks of {report['turns']} turns"
        case "memorisation":
            return f"{report['extraction']['samples']:,} samples, {report['about']['pairs']} pairs"
    return f"{sum(report['counts'].values()):,} rated items" if report["kind"] == "correlations" else "–"


OVER_ALL: Mapping[str, Callable[[Reports], str]] = {
    "runs": runs, "costs": costs, "gate": the_gate, "made-by": made_by,
}  # fmt: skip
OF_ONE: Mapping[str, tuple[str, Callable[[Mapping[str, Any]], str]]] = {
    "safety": ("safety", safety), "memorisation": ("memorisation", memorisation),
    "canaries": ("memorisation", canaries), "left-out-sets": ("correlations", left_out_sets),
    "perplexity-and-ssa": ("correlations", perplexity_and_ssa), "selfchat": ("selfchat", selfchat),
}  # fmt: skip


def names(reports: Reports) -> Sequence[str]:
    """The tables that these reports allow."""
    one = [name for name, (folder, _) in OF_ONE.items() if folder in reports]
    return [*OVER_ALL, *one, *(name for name, report in reports.items() if report["kind"] == "comparison")]


def table(name: str, reports: Reports) -> str:
    """The table of that name; KeyError where the reports do not allow it."""
    if name in OVER_ALL:
        return OVER_ALL[name](reports)
    if name in OF_ONE:
        folder, make = OF_ONE[name]
        return make(reports[folder])
    return comparison(reports[name])
