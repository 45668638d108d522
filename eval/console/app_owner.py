"""The owner's screens: results, set-up, import, plan. Part of app.py: Streamlit draws what pages.py prepares."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import streamlit as st

from dialogue.errors import UserError
from eval.console import pages
from eval.console.access import guest_pass, link, rater_pass
from eval.console.app_rater import chat_page, rate_page
from eval.console.charts import average_chart, scatter_chart, time_chart
from eval.console.words import LANGUAGES, say
from eval.ssa.database import RatingDatabase
from eval.ssa.exporting import export_csv, export_jsonl
from eval.ssa.importing import drop_forgotten, import_talks, sample, talks_from_history
from eval.ssa.pairs import make_pairs
from eval.ssa.pairwise import duels, strengths
from eval.ssa.planning import Assumptions, plans, slip_from_alpha, smallest_difference
from eval.ssa.protocol import Kind
from eval.ssa.quality import rater_quality
from eval.ssa.questions import PAIR_QUESTIONS
from eval.ssa.results import Results, choices, results
from eval.ssa.studies import (
    EXTRAS,
    RATER_KINDS,
    ChatSystem,
    Study,
    StudySettings,
    change_study,
    count_items,
    counts,
    create_study,
    delete_study,
    join,
    studies,
)  # fmt: skip
from eval.ssa.transcripts import Talk, talks_of

PAGES = ("results", "setup", "import", "plan", "rate", "chat", "compare")


@st.cache_data(show_spinner=False, max_entries=20)
def _results(_database: RatingDatabase, address: str, study_id: int, state: str) -> Results:
    return results(_database, study_id)


def owner_pages(database: RatingDatabase, base_url: str) -> None:
    """Everything; the owner may also rate, under a name of their own."""
    known = {one.id: one for one in studies(database)}
    page = st.segmented_control(
        "Page", PAGES, default="results" if known else "setup", required=True, key="page",
        format_func=lambda name: say(name, "en"), label_visibility="collapsed",
    )  # fmt: skip
    own = None
    if known:
        wanted = [one.name for one in known.values()].index(asked) if (asked := _asked_for(known)) else 0
        own = known[st.selectbox("Study", list(known), wanted, format_func=lambda i: known[i].name, key="study")]
    if page == "setup":
        _setup(database, own, base_url)
    elif page == "plan":
        _plan(database, own)
    elif own is None:
        st.info(say("no_studies", "en"))
    elif page == "import":
        _import(database, own)
    elif page == "results":
        _live_results(database, own)
    elif (page == "compare") != (own.kind is Kind.PAIRWISE) or (page == "chat" and not own.settings.systems):
        st.info(f"This study is {own.kind}; choose one that fits this page, or make one under Set-up.")
    else:
        me = join(database, own.id, "(owner)")
        (chat_page if page == "chat" else rate_page)(database, own, me)


def _asked_for(known: dict[int, Study]) -> str | None:
    """The study that the address names, if there is one of that name."""
    name = st.query_params.get("study")
    return name if name in [one.name for one in known.values()] else None


# Results


@st.fragment(run_every=5)
def _live_results(database: RatingDatabase, own: Study) -> None:
    """Live counts; the statistics are calculated again only when a label came in."""
    now = counts(database, own.id)
    names = ("ratings", "replies rated", "complete", "raters", "in hand", "skipped")
    for column, name in zip(st.columns(len(names)), names, strict=True):
        column.metric(name, f"{now[name]:,}")
    if not now["ratings"]:
        st.info("No label has come in yet.")
        return
    if own.kind is Kind.PAIRWISE:
        _pair_results(database, own)
    else:
        _ssa_results(_results(database, str(database.url), own.id, str(now)), own)
    st.subheader("Raters")
    st.dataframe(pages.rater_rows(rater_quality(database, own.id)), hide_index=True)
    left, right = st.columns(2)
    left.download_button(
        "Export as JSON Lines", lambda: export_jsonl(database, own.id), f"{own.name}.jsonl", on_click="ignore"
    )
    right.download_button("Export as CSV", lambda: export_csv(database, own.id), f"{own.name}.csv", on_click="ignore")


def _ssa_results(found: Results, own: Study) -> None:
    st.subheader(found.name)
    with st.expander("Why this is not called SSA" if found.name != "SSA" else "The protocol was kept", expanded=True):
        st.markdown("\n".join(f"- {line}" for line in pages.departure_lines(found)))
    st.dataframe(pages.system_rows(found), hide_index=True)
    st.vega_lite_chart(average_chart(found), width="stretch", alt=pages.spoken(found))
    left, right = st.columns(2)
    left.vega_lite_chart(scatter_chart(found), width="stretch", alt="Sensible against specific; see the table above")
    right.vega_lite_chart(time_chart(found), width="stretch", alt=f"{found.name} over time")
    if found.gaps:
        st.subheader("Differences")
        st.caption(
            f"The first interval may be read once, at the {own.settings.planned} conversations of each system that "
            "were planned. Whoever looks earlier, or often, reads the second one: it is valid at every look together."
        )
        st.dataframe(pages.gap_rows(found.gaps), hide_index=True)
    st.subheader("Agreement")
    if rows := pages.agreement_rows(found):
        st.dataframe(rows, hide_index=True)
    else:
        st.caption("Krippendorff's alpha needs replies that two raters have labelled.")
    with st.expander("All votes as they were given (no majority, no rule)"):
        st.dataframe(pages.raw_rows(found), hide_index=True)


def _pair_results(database: RatingDatabase, own: Study) -> None:
    for question in own.settings.questions:
        made = choices(database, own.id, question)
        st.subheader(PAIR_QUESTIONS[question].text["en"])
        if made:
            st.dataframe(pages.duel_rows(duels(made)), hide_index=True)
            st.dataframe(pages.strength_rows(strengths(made)), hide_index=True)
            st.caption("Strengths are Bradley–Terry on the log scale: +1 wins 73% against 0.")


# Set-up


def _setup(database: RatingDatabase, own: Study | None, base_url: str) -> None:
    if problem := st.session_state.pop("note", None):
        st.success(problem)
    with st.expander("New study", expanded=own is None):
        name = st.text_input("Name", max_chars=80, key="new_name")
        kind = st.radio("Kind", list(Kind), horizontal=True, format_func=str.capitalize, key="new_kind")
        kind = Kind(kind or Kind.STATIC)
        settings = _settings_form(StudySettings(), kind, "new")
        if st.button("Make the study", type="primary"):
            made = create_study(database, name.strip(), kind, settings)
            st.session_state.note = f"Made {made.name}. Next: import conversations, then invite raters."
            st.rerun()
    if own is None:
        return
    st.subheader(own.name)
    roles = count_items(database, own.id)
    st.caption(f"{own.kind} · " + " · ".join(f"{count} {role}" for role, count in sorted(roles.items())))
    with st.expander("Invite raters", expanded=True):
        _invite(database, own, base_url)
    if own.kind is Kind.PAIRWISE:
        with st.expander("Pairs", expanded=True):
            wanted = st.number_input("Pairs for every two systems and question", 1, 10_000, 50)
            if st.button("Make pairs"):
                st.session_state.note = f"{make_pairs(database, own.id, int(wanted))} pairs were added."
                st.rerun()
    with st.expander("Change this study"):
        settings = _settings_form(own.settings, own.kind, f"s{own.id}")
        closed = st.toggle("Closed: raters get nothing more", own.closed, key=f"closed{own.id}")
        if st.button("Save"):
            change_study(database, own.id, settings, closed=closed)
            st.session_state.note = "Saved."
            st.rerun()
    with st.expander("Delete this study"):
        sure = st.text_input("Type the name of the study to delete it with all its labels", key=f"sure{own.id}")
        if st.button("Delete for good", disabled=sure != own.name):
            delete_study(database, own.id)
            st.rerun()


def _settings_form(known: StudySettings, kind: Kind, key: str) -> StudySettings:
    left, right = st.columns(2)
    language = left.selectbox("Language of the talks", list(LANGUAGES), list(LANGUAGES).index(known.language),
                              format_func=LANGUAGES.__getitem__, key=f"{key}l")  # fmt: skip
    wanted = right.number_input("Raters per item", 1, 50, known.raters_per_item, key=f"{key}r")
    planned = left.number_input("Planned conversations per system", 2, 100_000, known.planned, key=f"{key}p")
    margin = right.number_input("Alike means within (points)", 0.5, 20.0, 100 * known.margin, key=f"{key}m")
    gold = left.number_input("A gold item every … items (0: never)", 0, 100, known.gold_every, key=f"{key}g")
    minutes = right.number_input("Minutes an item waits for its rater", 1, 600, known.lease_s // 60, key=f"{key}w")
    practice = left.toggle("Five practice items with feedback", known.practice, key=f"{key}f", disabled=key != "new")
    anyone = right.toggle("Anybody who is logged in may rate", known.anyone, key=f"{key}a")
    made = replace(
        known, language=language, raters_per_item=int(wanted), planned=int(planned), margin=margin / 100,
        gold_every=int(gold), lease_s=int(minutes) * 60, practice=practice, anyone=anyone,
    )  # fmt: skip
    text = st.text_area(
        "Instructions of your own (empty: ours)", known.instructions.get(language, ""), key=f"{key}i{language}"
    )
    own_words = {**known.instructions, language: text.strip()}
    made = replace(made, instructions={k: v for k, v in own_words.items() if v})
    if kind is Kind.PAIRWISE:
        asked = st.multiselect("Questions", list(PAIR_QUESTIONS), list(known.questions), key=f"{key}q",
                               format_func=lambda q: PAIR_QUESTIONS[q].text["en"])  # fmt: skip
        return replace(made, questions=tuple(asked))
    extras = st.multiselect("Ask in addition", EXTRAS, list(known.extras), key=f"{key}e")
    made = replace(made, extras=tuple(extras))
    return _systems_form(made, key) if kind is Kind.INTERACTIVE else made


def _systems_form(known: StudySettings, key: str) -> StudySettings:
    low, high = st.slider("Turns of a conversation", 2, 60, known.turns, key=f"{key}t")
    st.markdown("Systems to talk to (none: only imported talks). GenericBot is the control of the paper.")
    start = [{"name": s.name, "engine": s.engine, "preset": s.preset or "", "persona": s.persona or ""}
             for s in known.systems]  # fmt: skip
    columns = {
        "engine": st.column_config.SelectboxColumn(options=["chinwag", "generic"], required=True, default="chinwag"),
        "name": st.column_config.TextColumn(required=True),
    }
    rows: list[dict[str, Any]] = st.data_editor(
        start or [{"name": "", "engine": "chinwag", "preset": "", "persona": ""}], num_rows="dynamic",
        column_config=columns, key=f"{key}y", hide_index=True,
    )  # fmt: skip
    systems = tuple(
        ChatSystem(str(row["name"]).strip(), row["engine"], row.get("preset") or None, row.get("persona") or None)
        for row in rows
        if str(row.get("name") or "").strip()
    )
    return replace(known, turns=(low, high), systems=systems)


def _invite(database: RatingDatabase, own: Study, base_url: str) -> None:
    st.markdown("A link for a group: everybody chooses a name and gets a link of their own.")
    st.code(link(base_url, database.signing_key, guest_pass(own.id)), language=None, wrap_lines=True)
    left, right = st.columns([3, 2], vertical_alignment="bottom")
    name = left.text_input("Or a link for one rater", placeholder="name or pseudonym", max_chars=60)
    kind = right.selectbox("who is a", RATER_KINDS)
    if name.strip() and st.button("Make the link"):
        made = join(database, own.id, name, kind=kind)
        st.code(link(base_url, database.signing_key, rater_pass(own.id, made.id)), language=None, wrap_lines=True)


# Import


def _import(database: RatingDatabase, own: Study) -> None:
    if problem := st.session_state.pop("note", None):
        st.success(problem)
    files = st.file_uploader("Conversations: .jsonl, .jsonl.zst or our .csv", accept_multiple_files=True)
    left, middle, right = st.columns(3)
    bot = left.text_input("Speaker to rate", placeholder="as the file says")
    replies = middle.number_input("Replies per system, drawn at random (0: all)", 0, 1_000_000, 0)
    per_talk = right.number_input("Replies per conversation (0: all)", 0, 1000, 0)
    talks = [talk for file in files for talk in talks_of(file.getvalue(), file.name, bot=bot.strip() or None)]
    with st.expander("From our own history"):
        st.markdown("Replies that people rated in a chat, with the conversation before them. Names are left out.")
        system = st.text_input("Call this system", "chinwag")
        agreed = st.checkbox("Everybody whose words these are has agreed that raters read them.")
        if agreed:
            talks += _from_history(database, system)
    if not talks:
        return
    drawn = sample(talks, replies=int(replies) or None, per_talk=int(per_talk) or None)
    st.dataframe(pages.talk_rows(drawn), hide_index=True)
    if st.button(f"Import {len(drawn)} conversations", type="primary"):
        done = import_talks(database, own.id, drawn)
        st.session_state.note = (
            f"{done.talks} conversations with {done.replies} replies, {done.gold} gold items and {done.votes} votes "
            f"came in; {done.known} were there before."
        )
        st.rerun()


def _from_history(database: RatingDatabase, system: str) -> list[Talk]:
    from bot.bootstrap import open_history
    from bot.settings import load_settings

    store = open_history(load_settings())
    try:
        if gone := drop_forgotten(database, store):
            st.info(f"{gone} conversations were removed: the people in them asked to be forgotten.")
        return talks_from_history(store, system, agreed=True)
    finally:
        store.close()


# Plan


def _plan(database: RatingDatabase, own: Study | None) -> None:
    st.markdown("How many conversations does it take to tell two systems apart?")
    left, middle, right = st.columns(3)
    difference = left.number_input("Difference of the SSA (points)", 0.5, 50.0, 3.0, 0.5)
    sensible = middle.number_input("Sensible, weaker system (%)", 1.0, 100.0, 75.0)
    specific = right.number_input("Specific, weaker system (%)", 0.0, 100.0, 55.0)
    alpha = left.number_input("Agreement of raters (alpha)", 0.05, 1.0, 0.5, 0.05)
    icc = middle.number_input("Likeness within a conversation (ICC)", 0.0, 0.9, 0.1, 0.05)
    size = right.number_input("Replies per conversation", 1, 100, 7)
    wanted = left.slider("Power (%)", 50, 99, 80)
    slip = slip_from_alpha(alpha, sensible / 100)
    assumed = Assumptions(sensible / 100, specific / 100, difference / 100, slip, icc, int(size))
    try:
        found = plans(assumed, wanted / 100)
    except ValueError as error:
        raise UserError(f"These numbers do not go together: {error}.") from error
    st.dataframe(pages.plan_rows(found), hide_index=True)
    st.caption(
        f"For each of the two systems. Agreement of {alpha:.2f} means that a rater slips on about {slip:.0%} of the "
        "labels; slips pull the systems together, and more raters undo that. Clustering is in the design effect."
    )
    if own is not None:
        seen = smallest_difference(assumed, own.settings.planned, own.settings.raters_per_item, wanted / 100)
        text = "no difference at all" if seen is None else f"a difference of {100 * seen:.1f} points"
        st.info(
            f"{own.name} plans {own.settings.planned} conversations per system and {own.settings.raters_per_item} "
            f"raters a reply: it sees {text} with {wanted}% power."
        )
