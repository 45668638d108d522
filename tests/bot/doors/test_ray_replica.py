"""One replica of the HTTP door as Ray starts it, without Ray: what travels to it, and what it then does."""

from __future__ import annotations

import pickle
from pathlib import Path

import httpx
import pytest

pytest.importorskip("fastapi", reason="no fastapi: pip install 'chinwag[serve]'")

from bot.doors.ray_serve import portable, replica_app
from bot.rating_form import RatingForm
from bot.settings import load_settings


async def test_a_replica_answers_and_asks_the_questions_that_were_handed_in(
    tmp_path: Path, tiny_checkpoint: Path
) -> None:
    form = RatingForm("form-9", {"sensible": "Does it make sense?"})
    values = portable(load_settings(data_folder=tmp_path, model=str(tiny_checkpoint), threads=1, api_key="cw-secret"))
    app = replica_app(*pickle.loads(pickle.dumps((values, form))))
    here = {"base_url": "http://127.0.0.1", "headers": {"Authorization": "Bearer cw-secret"}, "timeout": 90}
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app=app), **here) as client,  # type: ignore[arg-type]
    ):
        assert (await client.get("/health/ready")).status_code == 200
        assert (await client.get("/v1/ratings/form")).json() == {
            "version": "form-9",
            "questions": {"sensible": "Does it make sense?"},
        }
        body = {"messages": [{"role": "user", "content": "Hello"}], "conversation": "c", "max_tokens": 4}
        done = (await client.post("/v1/chat/completions", json=body)).json()
        rating = {"conversation": "c", "reply": done["id"], "label": "sensible", "value": 1}
        assert (await client.post("/v1/ratings", json=rating)).json() == {"stored": True, "form": "form-9"}
        assert (await client.post("/v1/ratings", json={**rating, "label": "liked"})).status_code == 400
