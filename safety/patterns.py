r"""A small pattern language for rule files, and a matcher that is linear in the text. Knows nothing of turns or policy.

One pattern a line, matched on normalised lower-case text:

``kill (him|her)``     alternatives; a blank is one to four non-word signs (Korean: none to three)
``(the|my)? dog``      an optional group takes its blank along
``motherfuck*``        any word ending, up to twelve letters
``sex ... child``      up to four words between
``^`` and ``$``        no Hangul syllable before, or after (English rules always match whole words)
``[0-9]`` ``\d{1,4}``  character classes and bounded counts, as in :mod:`re`
``<groups>``           what a line ``<groups> = a|b|c`` above gave, in brackets

Every repetition has an upper bound, so one attempt costs bounded time; attempts start only where the text shows
the first letters of a pattern, so the whole scan is linear. Patterns are compiled when first needed.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

_BLANK = {False: r"[\W_]{1,4}", True: r"[\s.,!?~]{0,3}"}
_GAP = {False: r"(?:[\W_]{1,4}\w{1,20}){0,4}[\W_]{1,4}", True: r"(?:[\s.,]{1,3}\S{1,12}){0,4}[\s.,]{0,3}"}
_TOKEN = re.compile(
    r"(?P<cls>\[[^\]]{1,60}\]|\\.)|(?P<count>\{\d{1,2}(?:,\d{1,2})?\}|\?)|(?P<gap> \.\.\. )|(?P<sign>[ |()*$])"
    r"|(?P<chr>.)"
)
_NAMED = re.compile(r"<([a-z]+)>")
_KEY = 4


@dataclass(slots=True)
class _Item:
    """One element of a pattern: literal text, a raw class, or alternatives; with what stands before it."""

    literal: str = ""
    raw: str = ""
    options: list[list[_Item]] = field(default_factory=list)
    count: str = ""
    before: str = ""

    @property
    def optional(self) -> bool:
        return self.count == "?"


def parse(line: str, korean: bool) -> list[_Item]:
    """A pattern line as a tree of items. Raises ValueError when a bracket is missing."""
    tokens = deque((str(m.lastgroup), m.group()) for m in _TOKEN.finditer(line))
    items = _parse_options(tokens, korean)
    if tokens:
        raise ValueError(f"unbalanced bracket in rule {line!r}")
    return items[0] if len(items) == 1 else [_Item(options=items)]


def _parse_options(tokens: deque[tuple[str, str]], korean: bool) -> list[list[_Item]]:
    """The alternatives up to a closing bracket, which stays first among the tokens, or to the end."""
    options: list[list[_Item]] = [[]]
    before = ""
    while tokens and tokens[0] != ("sign", ")"):
        kind, text = tokens.popleft()
        if kind == "gap" or text == " ":
            before = _GAP[korean] if kind == "gap" else _BLANK[korean]
        elif kind == "sign" and text == "|":
            options.append([])
        elif kind == "count":
            _count_last(options[-1], text, blank=bool(before))
        else:
            item = _parse_item(kind, text, tokens, korean)
            item.before, before = before, ""
            options[-1].append(item)
    return options


def _count_last(items: list[_Item], count: str, *, blank: bool) -> None:
    if blank:  # " ?": a blank that may be missing, which a Korean blank may be anyway
        return
    items[-1].count = count


def _parse_item(kind: str, text: str, tokens: deque[tuple[str, str]], korean: bool) -> _Item:
    if kind == "sign" and text == "(":
        options = _parse_options(tokens, korean)
        if not tokens:
            raise ValueError("a bracket is not closed")
        tokens.popleft()
        return _Item(options=options)
    if kind == "cls":
        return _Item(raw=text)
    if kind == "sign":
        return _Item(raw={"*": r"\w{0,12}", "$": r"(?![가-힣])"}[text])
    if text == "'":  # people leave it out
        return _Item(options=[[_Item(literal="'")], []])
    return _Item(literal=text)


def source(items: list[_Item]) -> str:
    """The regular expression of a parsed pattern."""
    out, leading = "", True
    blanks = [item.before for item in items]
    for at, item in enumerate(items):
        body = item.raw or re.escape(item.literal)
        if item.options:
            body = "(?:" + "|".join(source(option) for option in item.options) + ")"
        if not item.optional:
            out, leading = out + blanks[at] + body + item.count, False
        elif leading and at + 1 < len(items):
            out += f"(?:{body}{blanks[at + 1]})?"
            blanks[at + 1] = ""
        else:
            out += f"(?:{blanks[at]}{body})?"
    return out


def firsts(items: list[_Item]) -> set[str]:
    """The first letters, at most four, that a match can begin with; a shorter text where the next is not known."""
    return {prefix for prefix, _ in _firsts(items)}


def _firsts(items: list[_Item]) -> set[tuple[str, bool]]:
    """Pairs of a prefix and whether it is closed: full, or followed by something that is not a known letter."""
    reached = {("", False)}
    for item in items:
        grown: set[tuple[str, bool]] = set()
        for prefix, closed in reached:
            if closed or (item.before and prefix):
                grown.add((prefix, True))
                continue
            if item.optional:
                grown.add((prefix, False))
            for more, end in _item_firsts(item):
                joined = (prefix + more)[:_KEY]
                grown.add((joined, end or len(joined) == _KEY))
        reached = grown
        if all(closed for _, closed in reached):
            break
    return reached


def _item_firsts(item: _Item) -> set[tuple[str, bool]]:
    if item.options:
        return {pair for option in item.options for pair in _firsts(option)}
    return {(item.literal, False)} if item.literal else {("", True)}


def literals(items: list[_Item], limit: int = 400) -> list[str]:
    """All texts a pattern without blanks and classes can match, or none when it has some or there are more than
    ``limit``."""
    found = [""]
    for item in items:
        if item.before or item.raw:
            return []
        parts = [item.literal] if not item.options else [t for o in item.options for t in literals(o, limit)]
        if not parts:
            return []
        found = [a + b for a in found for b in ([*parts, ""] if item.optional else parts)]
        if len(found) > limit:
            return []
    return found


class Rule:
    """One line of a rule file, ready to match; ``label`` is what the file's section says about it."""

    def __init__(self, line: str, label: str, source_name: str = "", *, korean: bool) -> None:
        self.line, self.label, self.source_name, self._korean = line, label, source_name, korean
        self._bound = line.startswith("^")
        self.items = parse(line.removeprefix("^"), korean)
        self.firsts = firsts(self.items)
        if "" in self.firsts:
            raise ValueError(f"a rule must start with a letter: {line!r}")

    @cached_property
    def regex(self) -> re.Pattern[str]:
        """The compiled expression, made at the first attempt to match."""
        body = source(self.items)
        if self._korean:
            return re.compile((r"(?<![가-힣])" if self._bound else "") + body)
        return re.compile(rf"{body}(?![a-z0-9])")


@dataclass(frozen=True, slots=True)
class Match:
    """Where a rule matched, in the text that was searched."""

    start: int
    end: int
    rule: Rule


class RuleSet:
    """Rules of one language, indexed by their first letters."""

    def __init__(self, rules: Iterable[Rule], *, korean: bool) -> None:
        self._korean = korean
        self._index: dict[str, list[Rule]] = {}
        for rule in rules:
            for first in rule.firsts:
                self._index.setdefault(first, []).append(rule)
        letters = re.escape("".join(sorted({key[0] for key in self._index})))
        self._starts = re.compile(("" if korean else r"(?<![a-z0-9])") + f"[{letters or '_'}]")
        self._sizes = sorted({len(key) for key in self._index})

    def matches(self, text: str) -> Iterator[Match]:
        """Every match that starts at a possible place; matches of different rules may overlap."""
        index = self._index
        for start in self._starts.finditer(text):
            at = start.start()
            for size in self._sizes:
                for rule in index.get(text[at : at + size], ()):
                    found = rule.regex.match(text, at)
                    if found and found.end() > at:
                        yield Match(at, found.end(), rule)


def read_rules(text: str, source_name: str = "", *, korean: bool) -> list[Rule]:
    """The rules of a file: ``[label]`` opens a section, ``#`` a comment; a label is a category, perhaps with a severity
    and a language. Raises ValueError with the line at fault.
    """
    rules: list[Rule] = []
    label, names = "", dict[str, str]()
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("# "):
            continue
        if re.fullmatch(r"\[[a-z_]+(?: \d(?: [a-z]{2})?)?\]", line):
            label = line[1:-1]
            continue
        if named := re.fullmatch(r"<([a-z]+)> = (.+)", line):
            names[named[1]] = f"({named[2]})"
            continue
        try:
            rules.append(Rule(_NAMED.sub(lambda m: names[m[1]], line), label, source_name, korean=korean))
        except (ValueError, IndexError, KeyError) as error:
            raise ValueError(f"line {number}: {error}") from error
    return rules
