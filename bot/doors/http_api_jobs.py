"""Front ends' housekeeping: "### Task:" requests for titles, tags and the like, sent to the same model as the talk.

They are answered from the talk's own words in the form that is asked for: neither decoded, stored nor rated, because
nobody said them.
"""

from __future__ import annotations

import json
import re

_JOBS: tuple[tuple[str, str], ...] = (
    ("title", r"title"),
    ("tags", r"tags?\b|categor"),
    ("follow_ups", r"follow[- ]?up"),
    ("queries", r"quer(?:y|ies)"),
    ("text", r"autocomplet|complet(?:e|ion)"),
    ("prompt", r"image"),
)
_TOOLS = re.compile(r"\AAvailable Tools:", re.IGNORECASE)
_EMOJI = re.compile(r"\A.{0,80}\bfacial expression\b.{0,40}\bemoji\b", re.IGNORECASE | re.DOTALL)
_MARK = re.compile(r"\A\s*###\s*Task:?", re.IGNORECASE)
_ASK_TITLE = re.compile(
    r"\A.{0,80}\b(?:generate|write|create|provide|give)\b[^\n]{0,60}\btitle\b[^\n]{0,80}\b(?:conversation|chat)\b",
    re.IGNORECASE | re.DOTALL,
)
_ASK_TITLE_AND_LANGUAGE = re.compile(
    r"\AAnalyze this conversation and provide:.{0,120}\blanguage\b.{0,80}\btitle\b", re.IGNORECASE | re.DOTALL
)
_SAID = re.compile(r"(?:^|\n)\s*(?:USER|User|Human)\s*:\s*(.+)")
_TALK = re.compile(r"<chat_history>(.*?)</chat_history>", re.DOTALL)
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)?")
_SMALL_WORDS = """
a about am an and are as at be but by can could did do does for from had has have hello hey hi how i i'm if in is it
it's just like me my of on or so that the then there they this to was we were what when where which who why will with
would you your
"""
_SMALL = frozenset(_SMALL_WORDS.split())


def job_of(text: str, told: str = "") -> str | None:
    """The kind of housekeeping a message asks for; None for something a person said. ``told`` is the system message."""
    if _TOOLS.match(told):
        return "tool_calls"
    if _MARK.match(text):
        head = text[:400]
        return next((name for name, pattern in _JOBS if re.search(pattern, head, re.IGNORECASE)), "title")
    if _EMOJI.match(text[:300]):
        return "emoji"
    return "title" if _ASK_TITLE.match(text[:300]) or _ASK_TITLE_AND_LANGUAGE.match(text[:300]) else None


def job_answer(job: str, text: str, fields: frozenset[str] = frozenset()) -> str:
    """The answer, as JSON where JSON is asked for, else as plain text. ``fields`` are those of the schema sent."""
    said = _what_was_said(text)
    values: dict[str, object] = {
        "title": title_of(said),
        "tags": _tags(said),
        "follow_ups": [],
        "queries": [],
        "text": "",
        "prompt": title_of(said),
        "tool_calls": [],
        "emoji": "🙂",
    }
    value = values[job]
    if job == "emoji":
        return str(value)
    if fields:
        return json.dumps({"language": "en", job: value} if "language" in fields else {job: value}, ensure_ascii=False)
    if job == "tool_calls" or re.search(r"json", text, re.IGNORECASE):
        return json.dumps({job: value}, ensure_ascii=False)
    return ", ".join(value) if isinstance(value, list) else str(value)


def title_of(said: str, words: int = 5) -> str:
    """A few telling words of what was said, in their order."""
    found = _WORD.findall(said)
    telling = [word for word in found if word.lower() not in _SMALL] or found
    return " ".join(telling[:words]).capitalize() or "Chat"


def _tags(said: str) -> list[str]:
    seen = dict.fromkeys(w.lower() for w in _WORD.findall(said) if len(w) > 3 and w.lower() not in _SMALL)
    return list(seen)[:3] or ["chat"]


def _what_was_said(text: str) -> str:
    """The first words of the person in the talk that is quoted in the job."""
    talk = _TALK.search(text)
    quoted = talk.group(1) if talk else text
    first = _SAID.search(quoted)
    if first:
        return first.group(1)
    return quoted.strip() if talk else quoted.strip().splitlines()[-1]
