"""What one would write in an afternoon: FastAPI around transformers' ``generate``, one request at a time.

The opponent of ``chinwag bench serve``; the same checkpoint, prompt, beam, n-gram rule and reply length as ours.
Run as ``python -m eval.bench.plain_server FOLDER PORT BEAM TOKENS``.
"""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from typing import Any


def make_app(folder: Path, beam: int, tokens: int) -> Any:
    """The application: POST /v1/chat/completions, nothing else of OpenAI's API."""
    import torch
    from fastapi import FastAPI
    from transformers import AutoModelForCausalLM

    from dialogue.models.formats import ChatMLFormat
    from dialogue.models.vocabulary import TokenizerVocabulary
    from dialogue.persona_cards import load_persona
    from dialogue.turns import Conversation, ConversationKey, Role, Turn

    network: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    network.eval()
    vocabulary = TokenizerVocabulary.from_file(folder / "tokenizer.json")
    start, end = vocabulary.token_id("<|im_start|>"), vocabulary.token_id("<|im_end|>")
    assert start is not None and end is not None
    reading = ChatMLFormat(vocabulary, start, end)
    newline = vocabulary.encode("\n")[-1]
    one_at_a_time = threading.Lock()
    app = FastAPI()

    @app.post("/v1/chat/completions")
    def chat(body: dict[str, Any]) -> dict[str, Any]:
        turns = tuple(Turn(Role.USER, message["content"]) for message in body["messages"])
        conversation = Conversation(ConversationKey("bench", "plain"), load_persona("robin"), turns)
        ids = torch.tensor([[*reading.encode(conversation, 512), newline]])
        with one_at_a_time, torch.inference_mode():
            out = network.generate(
                ids, attention_mask=torch.ones_like(ids), num_beams=beam, do_sample=False, max_new_tokens=tokens,
                no_repeat_ngram_size=3, early_stopping=True, eos_token_id=end, pad_token_id=end,
            )  # fmt: skip
        text = vocabulary.decode(out[0, ids.shape[1] :].tolist())
        return {"choices": [{"message": {"role": "assistant", "content": text}}]}

    @app.get("/health/ready")
    def ready() -> dict[str, str]:
        return {"status": "ok"}

    return app


def main(folder: str, port: str, beam: str, tokens: str) -> None:
    """Serve until the process is ended."""
    import uvicorn

    uvicorn.run(make_app(Path(folder), int(beam), int(tokens)), host="127.0.0.1", port=int(port), log_level="warning")


if __name__ == "__main__":
    main(*sys.argv[1:])
