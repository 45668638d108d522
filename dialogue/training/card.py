"""The model card: a run's record as a page for people. Samples of dialogue are handed in, never chosen here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

LICENCES = {
    "chitchat": ("MIT", "BYU Chit-Chat Challenge, github.com/BYU-PCCL/chitchat-dataset"),
    "self_dialogue": ("BSD-3-Clause", "Edinburgh Self-dialogue Corpus, github.com/jfainberg/self_dialogue_corpus"),
    "topical_chat": ("CDLA-Sharing-1.0", "Amazon Topical-Chat, github.com/alexa/Topical-Chat"),
    "synthetic_persona_chat": (
        "CC BY 4.0",
        "Google Synthetic-Persona-Chat, github.com/google-research-datasets/Synthetic-Persona-Chat",
    ),
    "chatterbot": ("BSD", "chatterbot-corpus, pypi.org/project/chatterbot-corpus"),
    "identity": ("Apache-2.0", "our own sentences about who the bot is, dialogue/training/identity.toml"),
    "own_replies": (
        "Apache-2.0",
        "beginnings of talks and their next reply, by a language model for this project, dialogue/training/replies",
    ),
    "own_talks": ("Apache-2.0", "talks that a language model wrote for this project, dialogue/training/talks"),
    "changelog": ("CC BY-SA 4.0", "Changelog podcast transcripts, github.com/thechangelog/transcripts"),
    "crd3": ("CC BY-SA 4.0", "Critical Role D&D Dataset, github.com/RevanthRameshkumar/CRD3"),
    "novels": ("public domain texts", "ELTeC-eng, ELTeC-eng-ext and 100 English Novels"),
    "sgd": ("CC BY-SA 4.0", "Schema-Guided Dialogue, github.com/google-research-datasets/dstc8-schema-guided-dialogue"),
}
"""Licence and attribution of the sources we know; others are named with their licence class only."""

LIMITS = """\
- English only, short replies, 135 million parameters: it makes up facts, forgets what left its window of context and
  contradicts itself. It knows nothing after its base model's training data.
- It speaks as the people of its corpora do: students, crowd workers, fans of films and sport. It may claim a body,
  a job or a family; a persona only softens that.
- Filters took profanity, slurs, sexual content and personal data out of its training turns; what the base model
  learnt before is still in it. It must run behind the safety layer.
- It is no source of medical, legal or any other advice."""


def model_card(record: Mapping[str, Any], samples: str = "") -> str:
    """The page, in Markdown. ``record`` is what a run writes to ``training.json``; ``samples`` is Markdown too."""
    parts = [
        _opening(record),
        "## Data\n\n" + sources_table(record["data"]["sources"]) + "\n\n" + _cleaning(record["data"]),
        "## Recipe\n\n" + _recipe(record),
        "## Perplexity per word on held-out talk\n\n" + perplexity_table(record.get("perplexity", {})),
        "## Compute\n\n" + _compute(record),
    ]
    if samples:
        parts.append("## Sample dialogues, unedited\n\n" + samples.strip())
    return "\n\n".join([*parts, LIMITS_HEADING + "\n\n" + LIMITS]) + "\n"


JUDGE_HEADING = "## Judge of candidates"
LIMITS_HEADING = "## Known limits"


def with_judge(card: str, record: Mapping[str, Any]) -> str:
    """A card with a section about the weights' judge before the limits, in place of an earlier one."""
    before, heading, limits = card.partition(LIMITS_HEADING)
    before = before.partition(JUDGE_HEADING)[0].rstrip()
    parts = [before, f"{JUDGE_HEADING}\n\n{_judge(record)}", f"{heading}{limits}".rstrip()]
    return "\n\n".join(filter(None, parts)) + "\n"


def _judge(record: Mapping[str, Any]) -> str:
    settings, data, run, found = (record[key] for key in ("settings", "data", "run", "held_out"))
    text = (
        "Which of a reply's candidates is said, a judge helps to choose (`judge.safetensors`): corrections of rank "
        f"{settings['rank']} of the decoder's blocks from {settings['first']} on, which hold only while judging. It "
        f"learnt from {data['replies']:,} judged replies to {data['talks']:,} talks, {run['steps']:,} steps in "
        f"{run['minutes']:.0f} minutes."
    )
    if found is None:
        return text
    likeliest, judged, both = ("{:.0%} / {:.0%}".format(*found[by]) for by in ("likeliest", "judged", "both"))
    return (
        f"{text} Of {found['talks']} held-out talks, all of which have better and worse replies, the likeliest reply "
        f"is sensible / specific in {likeliest}, the judge's in {judged}, the first by both in {both}."
    )


def _opening(record: Mapping[str, Any]) -> str:
    recipe = record["recipe"]
    what = {
        "adapters": f"Low-rank adapters (rank {recipe['adapters']['rank']}, every matrix of both stacks, and the norms)"
        " over SmolLM2-135M-Instruct (Apache-2.0, Hugging Face)",
        "full": "Every weight of both stacks, started from SmolLM2-135M-Instruct (Apache-2.0, Hugging Face)",
        "scratch": "A network trained from nothing",
    }[recipe["method"]]
    judged = " --preferences FILE" if "preferences" in record else ""
    return (
        f"# {record['name']}\n\nAn open-domain chat model, English. {what}, as a layer-aligned encoder–decoder with a "
        f"{recipe['encoder']} encoder: decoder layer *i* attends to encoder layer *i* and to its own prefix.\n\n"
        f"Licence of the weights: Apache-2.0. `training.json` beside this page holds the whole record of the run; "
        f"`chinwag train --recipe {recipe['name']} --data FOLDER{judged}` is the command that made them."
    )


def table(head: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def sources_table(sources: Mapping[str, Mapping[str, Any]]) -> str:
    """Every training source with licence, attribution, size after cleaning, and its share of the mix."""
    rows = []
    for name, source in sources.items():
        licence, origin = LICENCES.get(name, (source["licence_class"], "see the corpus folder's README"))
        words, share = f"{source['words_kept']:,}", f"{source['share']:.0%}"
        rows.append((name, licence, origin, f"{source['talks_kept']:,}", words, share))
    return table(("source", "licence", "attribution", "talks", "words", "share of the mix"), rows)


def _cleaning(data: Mapping[str, Any]) -> str:
    rows = []
    for name, source in data["sources"].items():
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in sorted(source["dropped"].items())) or "none"
        rows.append((name, reasons, source["near_duplicates"], source["test_overlaps"]))
    head = ("source", "turns cut out", "near-duplicate talks", "talks overlapping a test set")
    note = f"\n\n{data['note']}" if "note" in data else ""
    return "Turns cut out by reason, and whole talks dropped:\n\n" + table(head, rows) + note


def _recipe(record: Mapping[str, Any]) -> str:
    recipe, run = record["recipe"], record["run"]
    train = recipe["train"]
    return (
        f"{recipe['note']}. AdamW, learning rate {train['learning_rate']:g} with warm-up and cosine, clipping at "
        f"{train['clip']:g}, batches of {recipe['batch_tokens']:,} padded tokens x {train['accumulate']}, "
        f"{record['machine'].get('dtype', 'bfloat16')}. "
        f"{run['steps']:,} steps; {run['tokens']:,} tokens read and said, {run['targets']:,} of them learnt from "
        f"({run['passes']:.2f} passes over the mix), in {run['minutes']:.0f} minutes." + _preferences(record)
    )


def _preferences(record: Mapping[str, Any]) -> str:
    if "preferences" not in record:
        return ""
    return (
        f" It also learnt from {record['preferences']['replies']:,} judged replies to "
        f"{record['preferences']['talks']:,} talks, by direct preference optimisation (beta "
        f"{record['recipe']['preferences']['beta']:g})."
    )


def perplexity_table(perplexity: Mapping[str, Mapping[str, Mapping[str, float]]]) -> str:
    """Rows by source; the base through its own chat template, this network before and after training."""
    if not perplexity:
        return "Not measured in this run."
    whole, words = (_scores(perplexity, key) for key in ("perplexity", "perplexity_of_words"))
    return (
        "The same replies, tokens and contexts for all. Whole replies, the decision to end included:\n\n"
        f"{whole}\n\nThe replies' words alone, which is kinder to the base, as it seldom ends in time:\n\n{words}"
    )


NETWORKS = {"base": "base, own template", "before": "untrained form", "after": "trained"}


def _scores(perplexity: Mapping[str, Mapping[str, Mapping[str, float]]], key: str) -> str:
    known = [who for who in NETWORKS if any(who in scores for scores in perplexity.values())]
    rows: list[tuple[object, ...]] = []
    for source, scores in perplexity.items():
        cells = [f"{scores[who][key]:.1f}" if who in scores else "–" for who in known]
        below = "–"
        if "base" in scores and "after" in scores:
            below = f"{1 - scores['after'][key] / scores['base'][key]:.0%}"
        rows.append((source, *cells, below, next(iter(scores.values())).get("replies", "–")))
    return table(("source", *(NETWORKS[who] for who in known), "under the base", "replies measured"), rows)


def _compute(record: Mapping[str, Any]) -> str:
    machine, used = record["machine"], record.get("footprint")
    lines = [f"{machine['device']}, {machine['threads']} threads, torch {machine['torch']}."]
    if used:
        lines.append(
            f"{used['energy_kwh']:.3f} kWh, {used['co2_kg'] * 1000:.0f} g of CO2 (electricity of {used['country']}), "
            f"cost {used['cost']:.3f} at {used['price_per_kwh']:.2f} a kWh, {used['hours']:.2f} hours; estimated by "
            "codecarbon from the processor's rated power and load."
        )
    return " ".join(lines)
