"""The raters' screens: join, rate, compare, chat and rate. Part of app.py: Streamlit draws what pages.py prepares.

A session may die at any moment (a websocket is all that holds it): nothing that matters lives in ``session_state``; a
page that is opened again with the same link asks the database where the rater was.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import streamlit as st

from dialogue.errors import ChinwagError, UserError
from eval.console import pages
from eval.console.access import link, rater_pass
from eval.console.live import LiveEngine, generic_reply, live_engine
from eval.console.words import LANGUAGES, say
from eval.ssa.assignment import answer, choose, next_task, progress, skip, undo
from eval.ssa.database import RatingDatabase
from eval.ssa.live_talks import LiveTalk, abandon_talk, add_exchange, begin_talk, finish_talk, present_talk, system_of
from eval.ssa.protocol import Kind
from eval.ssa.studies import Rater, Study, join, raters, set_language
from eval.ssa.tables import ItemRole
from eval.ssa.tasks import Line, Task


@st.cache_resource(show_spinner=False)
def _engine() -> LiveEngine:
    return live_engine()


def guest_page(database: RatingDatabase, own: Study, base_url: str) -> None:
    """Choose a name, get a link of one's own."""
    language = _language_switch(own.settings.language)
    st.subheader(own.name)
    only_rated = own.kind is Kind.INTERACTIVE and not own.settings.systems
    st.markdown(pages.instructions(Kind.STATIC if only_rated else own.kind, own.settings, language))
    with st.form("join"):
        name = st.text_input(say("your_name", language), max_chars=60, help=say("join_hint", language))
        if st.form_submit_button(say("join", language), type="primary") and name.strip():
            if any(one.name == " ".join(name.split()) for one in raters(database, own.id)):
                raise UserError(say("name_taken", language))
            made = join(database, own.id, name, language=language)
            token = link("", database.signing_key, rater_pass(own.id, made.id)).split("t=")[1]
            st.query_params["t"] = token
            st.session_state.welcome = link(base_url, database.signing_key, rater_pass(own.id, made.id))
            st.rerun()


def _language_switch(present: str, key: str = "language") -> str:
    picked = st.segmented_control(
        say("language", present), list(LANGUAGES), default=st.session_state.get(key, present), required=True,
        format_func=LANGUAGES.__getitem__, key=key, label_visibility="collapsed",
    )  # fmt: skip
    return str(picked or present)


def rater_pages(database: RatingDatabase, own: Study, me: Rater) -> None:
    """What a rater's own link opens."""
    if "welcome" in st.session_state:
        st.success(say("your_link", me.language))
        st.code(st.session_state.pop("welcome"), language=None, wrap_lines=True)
    left, right = st.columns([3, 2], vertical_alignment="center")
    left.markdown(f"**{own.name}**")
    with right:
        language = _language_switch(me.language)
    if language != me.language:
        set_language(database, me.id, language)
        me = replace(me, language=language)
    if own.closed:
        st.success(say("closed", language))
    elif own.kind is Kind.PAIRWISE:
        rate_page(database, own, me)
    elif own.kind is Kind.INTERACTIVE and own.settings.systems:
        names = {"chat": say("chat", language), "rate": say("rate", language)}
        page = st.segmented_control(
            say("study", language), list(names), default="chat", required=True, format_func=names.__getitem__,
            label_visibility="collapsed", key="rater_page",
        )  # fmt: skip
        (chat_page if page == "chat" else rate_page)(database, own, me)
    else:
        rate_page(database, own, me)


@st.fragment
def rate_page(database: RatingDatabase, own: Study, me: Rater) -> None:
    """One item after the other; only this part of the page is drawn again after a click."""
    state = st.session_state
    if state.get("task_of") != me.id:
        state.task_of, state.task, state.feedback = me.id, next_task(database, me.id), None
    if problem := state.pop("problem", None):
        st.error(problem)
    if state.feedback is not None:
        _feedback(state.feedback, me.language)
        return
    task: Task | None = state.task
    far = progress(database, me.id)
    if task is None:
        st.success(say("all_done" if far.done else "nothing_yet", me.language))
        st.write(say("all_done_more", me.language, done=far.done) if far.done else "")
        _side_buttons(database, me, None)
        return
    if task.role is ItemRole.PRACTICE:
        words = say("practice", me.language, done=far.practice_done, all=far.practice_all)
        st.progress(far.practice_done / max(far.practice_all, 1), text=words)
    else:
        st.progress(far.share, text=say("progress", me.language, done=far.done, left=far.left))
    with st.expander(say("instructions", me.language), expanded=not far.done and not far.practice_done):
        st.markdown(pages.instructions(Kind.PAIRWISE if task.right else Kind.STATIC, own.settings, me.language))
    _draw_task(database, task, me)


def _draw_task(database: RatingDatabase, task: Task, me: Rater) -> None:
    language = me.language
    if task.right:
        sides = ((task.lines, "first_talk"), (task.right, "second_talk"))
        for column, (lines, side) in zip(st.columns(2), sides, strict=True):
            column.markdown(f"**{say(side, language)}**")
            column.html(pages.bubbles(lines, language, name=say(side, language)))
    else:
        st.html(pages.bubbles(task.lines, language))
    with st.container(key="answers"):
        st.html(f'<p class="cw-q" aria-live="polite">{pages.heading(task, language)}</p>')
        buttons: list[tuple[str, str, Callable[..., None], object]]
        if task.right:
            buttons = [("1", say("left", language), _choose, True), ("2", say("right", language), _choose, False)]
        else:
            buttons = [(c.key, c.text, _answer, c.labels) for c in pages.choices_of(task.open, language)]
        for column, (key, text, act, what) in zip(st.columns(len(buttons)), buttons, strict=True):
            column.button(
                text, key=f"a{task.item_id}-{task.open[0]}-{key}", shortcut=key, width="stretch", type="primary",
                on_click=act, args=(database, me, task, what),
            )  # fmt: skip
        _side_buttons(database, me, task)


def _side_buttons(database: RatingDatabase, me: Rater, task: Task | None) -> None:
    number = task.item_id if task else 0
    with st.container(horizontal=True, horizontal_alignment="center"):
        st.button(
            say("undo", me.language), key=f"undo{number}", shortcut="u", on_click=_step, args=(undo, database, me.id),
            type="tertiary",
        )  # fmt: skip
        if task and task.role is not ItemRole.PRACTICE:
            st.button(
                say("skip", me.language), key=f"skip{number}", shortcut="s", type="tertiary",
                on_click=_step, args=(skip, database, me.id, task.item_id),
            )  # fmt: skip


def _step(act: Callable[..., Task | None], *arguments: Any) -> None:
    """One click: the database first, then the screen. When saving fails the item stays where it is."""
    try:
        st.session_state.task = act(*arguments)
    except ChinwagError as error:
        st.session_state.problem = str(error)


def _answer(database: RatingDatabase, me: Rater, task: Task, labels: dict[str, int]) -> None:
    _step(answer, database, me.id, task.item_id, labels)
    if task.role is ItemRole.PRACTICE and "problem" not in st.session_state:
        st.session_state.feedback = (task, labels)


def _choose(database: RatingDatabase, me: Rater, task: Task, left: bool) -> None:
    _step(lambda: choose(database, me.id, task.item_id, left=left))


def _feedback(given: tuple[Task, dict[str, int]], language: str) -> None:
    task, labels = given
    right, words = pages.feedback(task, labels, language)
    st.html(pages.bubbles(task.lines, language))
    (st.success if right else st.warning)(words)
    st.button(
        say("goes_on", language), key=f"go{task.item_id}", shortcut="Enter", type="primary", width="stretch",
        on_click=lambda: st.session_state.update(feedback=None),
    )  # fmt: skip


def chat_page(database: RatingDatabase, own: Study, me: Rater) -> None:
    """Talk to a hidden system and label each reply."""
    language, (low, high) = me.language, own.settings.turns
    if problem := st.session_state.pop("problem", None):
        st.error(problem)
    talk = present_talk(database, me.id)
    with st.expander(say("instructions", language), expanded=talk is None):
        st.markdown(pages.instructions(own.kind, own.settings, language))
    if talk is None:
        st.button(say("begin_chat", language), type="primary", on_click=_step_chat, args=(begin_talk, database, me.id))
        return
    turns = len(talk.turns)
    st.progress(min(turns / low, 1.0), text=say("chat_progress", language, turns=turns, low=low, high=high))
    lines = [Line("A" if t.item_id is None else "B", t.text, rated=bool(t.open)) for t in talk.turns]
    if lines:
        st.html(pages.bubbles(lines, language))
    if talk.unrated:
        _label_chat(database, me, talk)
    elif not talk.finished:
        _say_something(database, own, me, talk)
    _end_buttons(database, own, me, talk)


def _label_chat(database: RatingDatabase, me: Rater, talk: LiveTalk) -> None:
    turn = talk.unrated
    assert turn is not None and turn.item_id is not None
    task = Task(turn.item_id, (), turn.open, turn.given or {}, ItemRole.ITEM, me.language)
    with st.container(key="answers"):
        st.html(f'<p class="cw-q" aria-live="polite">{pages.heading(task, me.language)}</p>')
        buttons = pages.choices_of(turn.open, me.language)
        for column, choice in zip(st.columns(len(buttons)), buttons, strict=True):
            column.button(
                choice.text, key=f"c{turn.item_id}-{turn.open[0]}-{choice.key}", shortcut=choice.key, type="primary",
                width="stretch", on_click=_step_chat,
                args=(lambda labels: answer(database, me.id, task.item_id, labels, go_on=False), choice.labels),
            )  # fmt: skip


def _say_something(database: RatingDatabase, own: Study, me: Rater, talk: LiveTalk) -> None:
    heard = st.chat_input(say("say", me.language), max_chars=1000, key=f"say{talk.id}")
    if not heard:
        return
    st.html(pages.bubbles([Line("A", str(heard))], me.language))
    with st.spinner(say("thinking", me.language)):
        system = system_of(database, talk.id)
        if system.engine == "generic":
            said, facts = generic_reply(str(heard), own.settings.language)
        else:
            said, facts = _engine().reply(talk.source, f"study{own.id}-rater{me.id}", str(heard), system)
        add_exchange(database, me.id, talk.id, str(heard), said, facts)
    st.rerun()


def _end_buttons(database: RatingDatabase, own: Study, me: Rater, talk: LiveTalk) -> None:
    left, middle, right = st.columns(3)
    if talk.turns and talk.turns[-1].given:
        left.button(
            say("undo", me.language), shortcut="u", type="tertiary", on_click=_step_chat,
            args=(lambda: undo(database, me.id, go_on=False),),
        )  # fmt: skip
    if len(talk.turns) >= own.settings.turns[0] and not talk.unrated:
        middle.button(
            say("finish", me.language), type="primary", on_click=_step_chat,
            args=(finish_talk, database, me.id, talk.id),
        )  # fmt: skip
    right.button(
        say("give_up", me.language), type="tertiary", on_click=_step_chat,
        args=(abandon_talk, database, me.id, talk.id),
    )  # fmt: skip


def _step_chat(act: Callable[..., object], *arguments: Any) -> None:
    try:
        act(*arguments)
    except ChinwagError as error:
        st.session_state.problem = str(error)
