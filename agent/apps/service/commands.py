"""The command `onkokode serve`.

onkokode serve --port 8000 --api-key-file key.txt
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agent.apps.options import OutputFile, OutputFolder, agent_options, load_agent, reader_option
from agent.apps.service.settings import ServiceSettings, hosts_for, is_loopback, networks, read_api_key
from index.io.failures import require

if TYPE_CHECKING:
    from fastapi import FastAPI

    from agent.agent import CodingAgent

# Where the review page puts itself.
_REVIEW = "/review"


@click.command("serve")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to bind to.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535), help="0: a free one.")
@click.option(
    "--api-key-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="File whose first line is the API key; without it, the variable ONKOKODE_API_KEY.",
)
@click.option(
    "--review",
    "database",
    type=OutputFile(),
    metavar="DB",
    help="Also serve the review page, on this work list.",
)
@click.option(
    "--jobs",
    type=OutputFolder(),
    metavar="FOLDER",
    help="Also take whole tables (/v1/jobs), which are kept here until they are coded and fetched.",
)
@click.option(
    "--jobs-keep",
    default=24.0,
    show_default=True,
    type=click.FloatRange(min=0, min_open=True),
    metavar="HOURS",
    help="Results of jobs are removed after this time.",
)
@click.option(
    "--jobs-most", default=20, show_default=True, type=click.IntRange(1), help="Jobs that are held at a time."
)
@click.option(
    "--jobs-size", default=64, show_default=True, type=click.IntRange(1), metavar="MIB", help="Of a table."
)
@click.option(
    "--queue", default=1024, show_default=True, help="Texts that may wait; beyond it, 429.", type=int
)
@click.option(
    "--allowed-host",
    "allowed",
    multiple=True,
    metavar="NAME",
    help="A name that a reverse proxy passes on, such as onkokode.klinik.example; may be given several times. On "
    "loopback, requests under any other name than its own are refused.",
)
@click.option(
    "--trusted-proxy",
    "proxies",
    multiple=True,
    metavar="ADDRESS",
    help="Address or network of a reverse proxy on another machine, whose X-Forwarded-Proto is believed.",
)
@reader_option
@agent_options
def serve(
    host: str,
    port: int,
    api_key_file: Path | None,
    database: Path | None,
    jobs: Path | None,
    jobs_keep: float,
    jobs_most: int,
    jobs_size: int,
    queue: int,
    allowed: tuple[str, ...],
    proxies: tuple[str, ...],
    **options: Any,
) -> None:
    """Serve the HTTP API, and with --review the review page, until SIGTERM or Ctrl-C.

    \b
    onkokode serve
    curl -s http://127.0.0.1:8000/v1/code -H 'Content-Type: application/json' -d '{"text": "Mamma-Ca li."}'

    The description of all routes is at /docs.
    """
    settings = ServiceSettings(
        host=host,
        port=port,
        api_key=read_api_key(api_key_file, os.environ),
        queue_texts=queue,
        jobs=jobs,
        job_hours=jobs_keep,
        most_jobs=jobs_most,
        job_bytes=jobs_size << 20,
        allowed_hosts=hosts_for(host, allowed),
        trusted_proxies=networks(proxies),
        own_login=(_REVIEW,) if database is not None else (),
    )
    # Before the model, which takes its time: a missing package or a port that is taken shows at once.
    from agent.apps.service import server
    from agent.apps.service.app import create_app

    if database is not None:
        require("nicegui", "--review")
    if jobs is not None:
        require("python_multipart", "--jobs")
    listener = server.bound(settings)
    if not is_loopback(host) and settings.api_key is None:
        click.echo(
            f"Warning: {host} can be reached from other machines, and no API key is set: whoever reaches it "
            "can use it. Set --api-key-file or ONKOKODE_API_KEY.",
            err=True,
        )
    with listener:
        agent = load_agent(**options)
        app = create_app(agent, settings)
        if database is not None:
            mount_review(app, agent, database, settings.api_key)
        server.serve(app, settings, listener)


def mount_review(app: FastAPI, agent: CodingAgent, database: Path, api_key: str | None) -> None:
    """Adds the review page. Imported here: it is a package of its own, with a library that coding needs not."""
    from agent.apps.review.page import mount

    mount(app, agent, database, api_key=api_key)
