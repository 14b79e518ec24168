"""The public interface: load once, then code texts.

agent = CodingAgent.load()
agent.code("Mamma-Ca li. oben außen, G2").icd10gm.code        # 'C50.4'
for coded in agent.code_many(open("texts.txt")): ...
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from importlib import metadata
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from agent.decide.editions import current_year, in_edition
from agent.graph import graph, prepare_batch
from agent.parallel.threads import one_thread
from agent.parallel.workers import Workers
from agent.prepare import Case, Prepared, worker
from agent.resources import CatalogueSource, Resources
from agent.results import CodedText
from agent.state import State
from index.dates import Date, year_of
from index.records import AXES
from index.search.retriever import Retriever

if TYPE_CHECKING:
    from agent.reading.results import CodedDocument

_BATCH = 64
_BATCHES = 4  # that a process gets at once
_DOCUMENTS = 8  # read at once, so that their phrases make full batches

_Batch = tuple[list[str | Case], list[int | None]]  # texts, and the year of each


class CodingAgent:
    """Codes German tumour diagnosis texts; holds no text after it has answered."""

    def __init__(self, resources: Resources, batch_size: int = _BATCH, *, date: Date = None) -> None:
        self.resources = resources
        self._batch_size = batch_size
        self._year = year_of(date)
        self._load_again: Callable[[], CodingAgent] | None = None

    @property
    def year(self) -> int:
        """The year whose ICD-10-GM codes an answer has where no date is given: that of the agent, of the edition that was
        asked for, or the current one."""
        return self._year or self.resources.catalogue.asked_year or current_year()

    @classmethod
    def load(
        cls,
        model: str | Path | None = None,
        adapter: str | Path | None = None,
        encoder: str | Path | None = None,
        catalogue: CatalogueSource = None,
        edition: str | None = None,
        *,
        device: str | None = None,
        quantise: Literal["4bit", "8bit"] | None = None,
        home: Path | None = None,
        candidates: int = 20,
        batch_size: int = _BATCH,
        server: str | None = None,
        date: Date = None,
        reader: str | Path | None = None,
    ) -> CodingAgent:
        """Load the agent; every None means the embedded default.

        Args:
            model: a causal language model: a name of `onkokode model list`, a folder, a GGUF file, or a hub name.
            adapter: folder or hub name of a LoRA adapter for it.
            encoder: folder or hub name of a sentence-transformers model.
            catalogue: a `Catalogue`, or files and folders; None takes the built-in lexicon and what
                `onkokode catalogue add` stored.
            edition: the ICD-10-GM edition to code in, such as `icd10gm-2017`; None takes the newest.
            device: `cpu`, `cuda`, `cuda:1`; None takes a GPU where there is one.
            quantise: hold the language model in 4 or 8 bits.
            home: the data folder instead of `ONKOKODE_HOME`.
            candidates: how many codes per axis a language model scores that cannot score all.
            batch_size: texts per batch in `code_many`.
            server: address of an OpenAI-compatible server (vLLM) that holds the language model; `model` is then
                the name that it serves. It is sent the texts.
            date: when the tumours were diagnosed, where a call does not say it: a date or a year. ICD-10-GM codes are
                those of that year's edition. None takes the edition asked for, else the current year.
            reader: folder of a reader of documents that `onkokode train reader` made; None takes the package's.

        Raises:
            OnkokodeError: something cannot be loaded; the message names the file and the remedy.
        """
        worker.start()  # it gets ready while the models load
        resources = Resources.load(
            model, adapter, encoder, catalogue, edition,
            device=device, quantise=quantise, home=home, candidates=candidates, server=server, reader=reader,
        )  # fmt: skip
        agent = cls(resources, batch_size, date=date)
        agent._load_again = partial(
            cls.load, model, adapter, encoder, catalogue, edition,
            device=device, quantise=quantise, home=home, candidates=candidates, batch_size=batch_size,
            server=server, date=date, reader=reader,
        )  # fmt: skip
        return agent

    @property
    def retriever(self) -> Retriever:
        """The retriever in use."""
        return self.resources.retriever

    def code(self, text: str | Case, date: Date = None) -> CodedText:
        """Code one text, or one tumour in fields. Any string gets an answer; one that holds no diagnosis gets the
        reason. `date` is that of the diagnosis, whose year's ICD-10-GM codes the answer has."""
        if not isinstance(text, str | Case):
            raise TypeError(f"code takes a text or a Case, not {type(text).__name__}")
        year = year_of(date)
        with one_thread():
            return self._batch([text], [year])[0]

    def code_many(
        self, texts: Iterable[str | Case], dates: Iterable[Date] | None = None, *, workers: int = 1
    ) -> Iterator[CodedText]:
        """Code any iterable of texts and cases in batches; order kept, one answer each, constant memory. `dates` are
        those of the diagnoses, one for each text. More `workers` than one are processes that load the agent again as
        `load` did, and share the work; the answers are the same."""
        if isinstance(texts, str | Case):
            raise TypeError("code_many takes an iterable of texts; for one text use code")
        if workers > 1 and self._load_again is None:
            raise ValueError(
                "processes load the agent again: make it with CodingAgent.load, or leave out workers"
            )
        dated = ((text, None) for text in texts) if dates is None else zip(texts, dates, strict=True)
        batches = self._batches(dated)
        if workers < 2:
            # What comes one by one is answered before the next is waited for.
            yield from self._ahead(batches) if isinstance(texts, Sequence) else self._one_by_one(batches)
            return
        assert self._load_again is not None
        pieces = iter(lambda: list(islice(batches, _BATCHES)), [])
        with Workers(self._load_again, workers) as started:
            for coded in started.map(_code_batches, pieces):
                yield from coded

    def _one_by_one(self, batches: Iterable[_Batch]) -> Iterator[CodedText]:
        for batch in batches:
            yield from self._batch(*batch)

    def _ahead(self, batches: Iterable[_Batch]) -> Iterator[CodedText]:
        """While a batch is coded, the process that reads texts reads the next."""
        with ThreadPoolExecutor(1) as reader:
            reading: tuple[_Batch, Future[list[Prepared]]] | None = None
            for batch in batches:
                following = batch, reader.submit(prepare_batch, *_texts_and_cases(batch[0]))
                if reading is not None:
                    yield from self._batch(*reading[0], reading[1].result())
                reading = following
            if reading is not None:
                yield from self._batch(*reading[0], reading[1].result())

    def _batches(self, dated: Iterable[tuple[str | Case, Date]]) -> Iterator[_Batch]:
        stream = enumerate(dated, start=1)
        while batch := list(islice(stream, self._batch_size)):
            for row, (text, _) in batch:
                if not isinstance(text, str | Case):
                    raise TypeError(f"row {row} is {type(text).__name__}, not a text; an empty row is ''")
            yield [text for _, (text, _) in batch], [year_of(date) for _, (_, date) in batch]

    def in_edition(self, coded: CodedText, date: Date = None) -> CodedText:
        """An answer as the graph gives it, in the codes of the year of diagnosis."""
        return in_edition(coded, year_of(date) or self.year, self.resources.catalogue)

    def read(self, document: str, date: Date = None) -> CodedDocument:
        """Read a whole document: the patient's tumours, each coded, with their metastases. `date` is that of the
        document."""
        if not isinstance(document, str):
            raise TypeError(f"read takes a text, not {type(document).__name__}")
        year = year_of(date)
        with one_thread():
            return self._read([document], year)[0]

    def read_many(self, documents: Iterable[str]) -> Iterator[CodedDocument]:
        """Read any iterable of documents; order kept, one answer per document, constant memory."""
        if isinstance(documents, str):
            raise TypeError("read_many takes an iterable of documents; for one document use read")
        stream = iter(documents)
        while batch := list(islice(stream, _DOCUMENTS)):
            yield from self._read(batch)

    def _read(self, documents: list[str], year: int | None = None) -> list[CodedDocument]:
        # What reads documents needs torch, which takes a second to import.
        from agent.reading.editions import document_in_edition
        from agent.reading.graph import reading_graph

        found = reading_graph.invoke({"documents": documents}, context=self.resources)["results"]
        return [document_in_edition(one, year or self.year, self.resources.catalogue) for one in found]

    def stream(self, text: str) -> Iterator[tuple[str, dict[str, Any]]]:
        """The steps as they happen: (node, what it found), for one text. The last is `explain`, whose
        `results` holds the `CodedText`."""
        for update in graph.stream({"texts": [text]}, context=self.resources, stream_mode="updates"):
            for node, found in update.items():
                if node == "explain":
                    yield node, {"results": [self.in_edition(coded) for coded in found["results"]]}
                else:
                    yield node, _summary(node, found)

    def info(self) -> dict[str, Any]:
        """Versions, editions, models and the number of codes per axis."""
        return {
            "onkokode": metadata.version("onkokode"),
            **self.resources.names,
            "year": self.year,
            "editions": {name: dict(about) for name, about in self.resources.catalogue.editions.items()},
            "codes": {axis.value: len(self.resources.catalogue.codable_codes(axis)) for axis in AXES},
            "lines": len(self.resources.catalogue.searchable_lines),
        }

    def _batch(
        self, given: list[str | Case], years: list[int | None], prepared: list[Prepared] | None = None
    ) -> list[CodedText]:
        texts, cases = _texts_and_cases(given)
        state: State = {"texts": texts, "cases": cases}
        if prepared is not None:
            state["prepared"] = prepared
        found = graph.invoke(state, context=self.resources)["results"]
        return [self.in_edition(coded, year) for coded, year in zip(found, years, strict=True)]


def _code_batches(agent: CodingAgent, batches: Sequence[_Batch]) -> list[CodedText]:
    return list(agent._ahead(batches))


def _texts_and_cases(given: Sequence[str | Case]) -> tuple[list[str], dict[int, Case]]:
    texts = [one.text if isinstance(one, Case) else one for one in given]
    return texts, {number: one for number, one in enumerate(given) if isinstance(one, Case)}


def _summary(node: str, found: dict[str, Any]) -> dict[str, Any]:
    """What a node found, short enough to print; no text but codes and numbers (and the final results)."""
    if node == "prepare":
        certainty = [statement.segment.certainty for statement in found["statements"]]
        return {"diagnoses": len(certainty), "certainty": certainty}
    if node == "recognise":
        return {"tumour_probability": [round(p, 3) for p in found["tumour_probabilities"]]}
    if node == "retrieve":
        best = {axis.value: r.codes[int(r.log_shares[0].argmax())] for axis, r in found["retrievals"].items()}
        return {"nearest": best}
    if node == "choose":
        first = [{axis.value: one.first for axis, one in of.items()} for of in found["decisions"]]
        return {"first": first, "attempt": found["attempt"]}
    if node == "reconcile":
        agreed = [{axis.value: code for axis, code in one.codes.items()} for one in found["agreements"]]
        return {"codes": agreed, "joint": [one.joint for one in found["agreements"]]}
    if node == "check":
        failed = [[check.number for check in of if not check.passed] for of in found["checks"]]
        return {"failed": failed, "again": [list(reasons) for reasons in found["again"].values()]}
    return dict(found)
