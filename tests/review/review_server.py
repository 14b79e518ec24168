"""The service of the page's tests: `python review_server.py DATABASE PORT [API_KEY]`.

Where the work list is empty, the embedded agent codes TEXTS into it. Where it is not, a catalogue stands in for the
agent, of which the page needs no more: loading models a second time would take most of the tests' time.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

PUBLIC_NAME = "onkokode.klinik.example"
TEXTS = (
    "Mamma-Ca li. oben außen, G2",
    "Ca",
    "V.a. Pankreaskopf-Ca <script>window.evil = 1</script><img src=x onerror='window.evil = 1'>",
    "Kleinzelliges Bronchial-Ca li. Oberlappen",
    "Z.n. Appendektomie",
    "Klarzelliges Nierenzellkarzinom links; Basaliom Nasenflügel rechts",
)


def code_many(texts: list[str]) -> list[Any]:
    """The stand-in's answers: each text is a carcinoma of the breast; some take their time."""
    from tests.review.review_helpers import coding

    time.sleep(sum("langsam" in text for text in texts) / 100)
    return [
        SimpleNamespace(to_dict=lambda text=text: coding(confidence=0.8, span=(0, len(text))))
        for text in texts
    ]


def read_many(texts: list[str]) -> list[Any]:
    """The stand-in's answers for documents: none tells a tumour; some take their time."""
    time.sleep(sum(text.count("langsam") for text in texts) / 100)
    return [SimpleNamespace(text=text, tumours=(), problem=None) for text in texts]


def main(database: Path, port: int, api_key: str | None) -> None:
    from agent.apps.review.items import NewItem
    from agent.apps.review.sources import diagnoses
    from agent.apps.review.store import Store
    from agent.apps.service import server
    from agent.apps.service.app import create_app
    from agent.apps.service.commands import mount_review
    from agent.apps.service.settings import ServiceSettings, hosts_for

    with Store.open(database) as store:
        agent: Any
        if store.status().total:
            from index.catalogue.catalogue import Catalogue
            from index.catalogue.crosswalk import Crosswalk

            catalogue = Catalogue.builtin()
            resources = SimpleNamespace(catalogue=catalogue, crosswalk=Crosswalk(catalogue.rules))
            agent = SimpleNamespace(
                resources=resources,
                retriever=None,
                code=str,
                code_many=code_many,
                read_many=read_many,
                info=dict,
            )
        else:
            from agent import CodingAgent

            agent = CodingAgent.load()
            for number, coded in enumerate(agent.code_many(TEXTS), start=1):
                found = diagnoses(coded.to_dict())
                store.add(
                    NewItem("texte.txt", str(number), coded.text, one, part, len(found))
                    for part, one in enumerate(found, start=1)
                )
    settings = ServiceSettings(
        port=port,
        api_key=api_key,
        allowed_hosts=hosts_for("127.0.0.1", [PUBLIC_NAME]),
        own_login=("/review",),
        shutdown_seconds=2,
    )
    with server.bound(settings) as listener:
        app = create_app(agent, settings)
        mount_review(app, agent, database, api_key)
        server.serve(app, settings, listener)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3] if len(sys.argv) > 3 else None)
