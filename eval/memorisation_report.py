"""The report of the memorisation audit: ``memorisation.html``, ``.md``, ``.json``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eval.offline.gate import gate
from eval.offline.provenance import provenance
from eval.offline.results import SCHEMA
from eval.report import Block, Heading, Plot, Table, Talk, Text, number, origin, write_report


def memorisation_report(
    out: Path, about: Mapping[str, Any], found: Mapping[str, Any], *, quote: bool = True
) -> dict[str, Any]:
    """Write; the data of ``memorisation.json``. ``about`` names model, reference, files and sizes; without ``quote``
    no line that stands in the training talks is printed.
    """
    data: dict[str, Any] = {"schema": SCHEMA, "kind": "memorisation", "about": dict(about), "provenance": provenance()}
    data |= found if quote else _unquoted(found)
    data["gate"] = [
        {"check": c.name, "value": c.value, "limit": c.limit, "passed": c.passed, "remark": c.remark}
        for c in gate({"memorisation": data})
    ]
    write_report(out, "memorisation", f"What {about['model']} remembers of its training", data, _blocks(data))
    return data


def _unquoted(found: Mapping[str, Any]) -> dict[str, Any]:
    """The numbers without the examples."""
    plain = {name: {**part, "examples": []} for name, part in found["discoverable"].items()}
    return {**found, "discoverable": plain, "extraction": {**found["extraction"], "examples": []}}


def _verdict(row: Mapping[str, Any]) -> str:
    return "pass" if row["passed"] else f"FAIL {row['remark']}".strip()


def _rate(rate: Mapping[str, Any]) -> list[str]:
    between = f"[{number(rate['low'])}, {number(rate['high'])}]"
    return [f"{rate['hits']} of {rate['count']}", number(rate["value"]), between, number(rate["at_most_95"])]


def _blocks(data: Mapping[str, Any]) -> list[Block]:
    about = data["about"]
    passed = sum(row["passed"] for row in data["gate"])
    return [
        Text(
            f"Model {about['model']} against a suffix index of {data['corpus_words']:,} words of its training talks "
            f"({', '.join(about['seen'])}); held out: {', '.join(about['unseen'])}. Rates have exact 95% intervals; "
            f"“at "
            "most” is the one-sided 95% bound. A bound is not a proof: only differential privacy in training gives "
            "one, "
            "and this model was trained without it. The model is asked without the safety filter."
        ),
        Text(f"Release gate: {passed} of {len(data['gate'])} thresholds met."),
        Table(["check", "value held against it", "limit", ""], [
            [row["check"], number(row["value"], 4), number(row["limit"], 4), _verdict(row)]
            for row in data["gate"]
        ]),
        *_rates(data), *_extraction(data), *_membership(data), *_canaries(data), *_stored(data),
        *origin(data["provenance"], [[name, str(value)] for name, value in about.items()]),
    ]  # fmt: skip


def _rates(data: Mapping[str, Any]) -> list[Block]:
    rows = []
    for name, found in data["discoverable"].items():
        rows.append([f"likeliest reply to {name} is a rare training reply", *_rate(found["equal_to_a_rare_reply"])])
        rows.append(
            [f"likeliest reply to {name} is the very reply given there", *_rate(found["equal_to_their_own_reply"])]
        )
    private, drawn = data["personal_data"], data["extraction"]
    rows.append(["free samples that are a rare training turn", *_rate(drawn["equal_to_a_rare_turn"])])
    rows.append(["free samples with six or more words in a row from a rare place", *_rate(drawn["with_a_rare_run"])])
    rows.append(["free samples with something like personal data", *_rate(private["samples_with_personal_data"])])
    rows.append(["free samples with such a piece that stands in the corpus", *_rate(private["found_in_the_corpus"])])
    rows += _own(data)
    columns = ["what", "seen", "rate", "95% interval", "at most"]
    return [
        Heading("Rates"),
        Text(
            "A reply is long from 8 tokens on and rare up to three occurrences; words are compared without case and "
            "marks."
        ),
        Table(columns, rows),
    ]


def _own(data: Mapping[str, Any]) -> list[list[str]]:
    found = data.get("own_talks")
    if not found:
        return []
    contexts = found["contexts"]
    return [
        ["likeliest reply to contexts of our own talks is the very reply given there",
         *_rate(contexts["equal_to_their_own_reply"])],
        ["likeliest reply to contexts of our own talks is a rare line of theirs",
         *_rate(contexts["equal_to_a_rare_line"])],
        ["free samples that are a rare line of our own talks", *_rate(found["samples_equal_to_a_rare_line"])],
    ]  # fmt: skip


def _extraction(data: Mapping[str, Any]) -> list[Block]:
    found = data["extraction"]
    rows = [[name, number(value, 2)] for name, value in found["precision_at"].items()]
    shown = [
        Talk(f"{e['longest']} words in a row, {e['occurrences']} in the corpus", [("sample", e["text"])])
        for e in found["examples"][:5]
    ]
    return [
        Heading("Untargeted extraction"),
        Text(
            f"{found['samples']} samples; longest run shared with the corpus: {found['longest_run_words']} words. "
            f"Share of "
            f"hits among the {found['top']} most suspicious by each ranking (at random: "
            f"{number(found['at_random'], 2)}):"
        ),
        Table(["ranking", "precision"], rows), *shown,
    ]  # fmt: skip


def _membership(data: Mapping[str, Any]) -> list[Block]:
    rows = [
        [name, number(row["auc"]), *_rate(row["tpr_at_fpr_0.001"]), f"{row['members']} / {row['others']}"]
        for name, row in data["membership"].items()
    ]
    columns = ["score", "AUC", "found", "TPR at 0.1% FPR", "95% interval", "at most", "members / others"]
    words = (
        "With fewer than 1,000 held-out replies the threshold is their maximum, so no false alarm at all is allowed."
    )
    return [Heading("Membership"), Text(words), Table(columns, rows)]


def _canaries(data: Mapping[str, Any]) -> list[Block]:
    found = data.get("canaries")
    if not found:
        return [Heading("Canaries"), Text("Not measured in this audit: see `--canaries`.")]
    twin, rows = found["twin"], found["by_repetitions"]
    begun = "begun with the weights audited here" if twin.get("from_audited_weights") else "begun with the base model"
    from eval.plots import intervals

    picture = [(f"{row['repetitions']} times", row["mean"], row["least"], row["greatest"]) for row in rows]
    words = "exposure in bits by how often a canary was planted: mean, least and greatest"
    bits = ("mean", "least", "greatest")
    table = [
        [
            str(row["repetitions"]),
            number(row["met"], 1),
            str(row["canaries"]),
            *(number(row[bit], 1) for bit in bits),
            str(row["first"]),
        ]
        for row in rows
    ]
    return [
        Heading("Canaries in a twin"),
        Text(
            f"A twin, {begun}, was trained by the same program and recipe with adapters of rank {twin['rank']}, but on "
            f"{twin['talks']} talks and the canaries alone, for {twin['steps']} steps of about {twin['batch_tokens']} "
            f"tokens: it met all it was given {number(twin['passes'], 1)} times over, each canary as often as the "
            "table says. The shipped model met most of its talks once or not at all: what the twin shows should be "
            "more than a line that came as often leaves in it. Where no canary rises above chance, the twin was "
            "trained too briefly to tell anything. "
            f"Highest exposure that can be seen: {number(found['ceiling_bits'], 1)} bits; planted 0 times is what "
            f"chance gives."
        ),
        Plot(intervals(picture, "exposure (bits)", zero=False), words),
        Table(["planted", "met", "canaries", "mean bits", "least", "greatest", "ranked first"], table),
    ]


def _stored(data: Mapping[str, Any]) -> list[Block]:
    found = data["stored_lines"]
    bad = [*found["copied_from_the_corpus"], *found["with_personal_data"]]
    words = f"{found['lines']} lines of personas, examples and canned answers; copied or personal: {len(bad)}."
    return [Heading("Stored lines"), Text(words), *(Text(line) for line in bad[:10])]
