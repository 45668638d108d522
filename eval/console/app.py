"""The console's screen, run by ``chinwag console``: who is it, and which page may they see.

Only this module and its two halves, app_rater.py and app_owner.py, know Streamlit.
"""

from __future__ import annotations

import sys

import streamlit as st

from bot.settings import load_settings
from dialogue.errors import ChinwagError
from eval.console import pages
from eval.console.access import Pass, Role, owner_pass, rater_pass, verify
from eval.console.app_owner import owner_pages
from eval.console.app_rater import guest_page, rater_pages
from eval.console.words import say
from eval.ssa.database import RatingDatabase, open_ratings
from eval.ssa.studies import join, rater, studies, study


@st.cache_resource(show_spinner=False)
def _database(url: str) -> RatingDatabase:
    return open_ratings(url)


def main() -> None:
    """Draw the page that this visitor may see."""
    st.set_page_config(page_title="Chinwag console", page_icon=":material/forum:", layout="centered")
    st.html(pages.STYLE)
    try:
        database = _database(load_settings().database)
        _visitor(database, _pass(database))
    except ChinwagError as error:
        st.error(str(error))


def _pass(database: RatingDatabase) -> Pass | None:
    """Who this is: by the link, or by OIDC where the owner set it up (section [auth] of Streamlit's secrets)."""
    token = st.query_params.get("t")
    if token:
        return verify(database.signing_key, token)
    if not (st.secrets.load_if_toml_exists() and "auth" in st.secrets):
        return None
    if not st.user.is_logged_in:
        st.button(say("log_in", "en"), on_click=st.login, type="primary")
        return None
    st.sidebar.button(say("log_out", "en"), on_click=st.logout)
    email = str(st.user.email)
    if email in st.secrets.get("console", {}).get("owners", ()):
        return owner_pass()
    open_to = [one for one in studies(database) if one.settings.anyone and not one.closed]
    name = st.query_params.get("study") or (open_to[0].name if open_to else "")
    found = next((one for one in open_to if one.name == name), None)
    return None if found is None else rater_pass(found.id, join(database, found.id, email).id)


def _visitor(database: RatingDatabase, who: Pass | None) -> None:
    if who is None:
        st.info(say("no_access", "en") + "\n\n" + say("no_access", "ko"))
    elif who.role is Role.OWNER:
        owner_pages(database, _base_url())
    elif who.role is Role.GUEST:
        guest_page(database, study(database, who.study_id), _base_url())
    else:
        rater_pages(database, study(database, who.study_id), rater(database, who.rater_id))


def _base_url() -> str:
    return sys.argv[1] if len(sys.argv) > 1 else "http://localhost:8501"


if __name__ == "__main__":
    main()
