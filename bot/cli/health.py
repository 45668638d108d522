"""``chinwag health``: ask a running door whether it is well; for health checks of containers, which have no curl."""

from __future__ import annotations

from typing import Annotated

import typer

app = typer.Typer()


@app.command()
def health(
    url: Annotated[str, typer.Argument(help="Address to ask")] = "http://127.0.0.1:8000/health/ready",
    timeout_s: Annotated[float, typer.Option(min=0.1, help="Seconds to wait for the answer")] = 5.0,
) -> None:
    """End with 0 when the address answers 200, else with 1 and one sentence why."""
    import urllib.error
    import urllib.request

    from dialogue.errors import UserError

    if not url.startswith(("http://", "https://")):
        raise UserError(f"{url} is no web address; write http://HOST:PORT/health/ready.")
    try:
        with urllib.request.urlopen(url, timeout=timeout_s) as answer:
            typer.echo(answer.read(4096).decode("utf-8", "replace").strip())
    except urllib.error.HTTPError as error:
        raise UserError(f"{url} says: {error.read(4096).decode('utf-8', 'replace').strip()}") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{url} does not answer: {error}.") from None
