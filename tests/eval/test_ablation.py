"""The ablation on small models: every variant, what a run leaves behind, and runs that were killed."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner

from agent import CodingAgent
from agent.apps.cli import cli
from agent.decide.records import Weights
from agent.decide.scores import scores_of_texts
from agent.models.local import LocalModel
from agent.models.prompts import Prompts
from agent.models.tokens import PromptEncoder
from agent.prepare import core_of
from agent.resources import EMBEDDED_ADAPTER, EMBEDDED_MODEL
from eval.run import run as ablation
from eval.run.answerers import answerer_for, of_words, thinking_encoder
from eval.run.folder import AnsweredRow, RunError, RunFolder
from eval.run.models import Models, NotPossible, Parts, fingerprint
from eval.run.run import run_ablation
from eval.run.testsets import TestSet, load_testset, row_name
from eval.run.variants import VARIANTS, WITHOUT_MODEL, Variant, read_variants
from eval.scoring import first_choice
from eval.testset import CLINICAL, Row, TestSetError, read_testset
from index.catalogue.catalogue import Catalogue
from index.errors import ModelError, OnkokodeError
from index.records import AXES, CodeSystem
from tests.agent.tiny_models import FAMILIES, save_random_adapter, save_tiny_model, tiny_tokenizer
from tests.index.catalogue_files import PLAIN_ALPHABET

ICD = CodeSystem.ICD10GM
NOWHERE = Path("no shared folder")
EMBEDDED = Models()
WRITTEN = Variant("written", "", "written", "plain", 0)
FUSED = Variant("fused", "", "fused", "plain", 0)
AGENT = Variant("agent", "", "agent", "plain")
RETRIEVAL = Variant("retrieval", "", "retrieval")


def clinical(rows: int) -> TestSet:
    return load_testset(str(CLINICAL), shared=NOWHERE, rows=rows)


@pytest.fixture(scope="module")
def embedded() -> Parts:
    return Parts.load(Models(), None)


@pytest.fixture(autouse=True)
def _loaded_once(monkeypatch: pytest.MonkeyPatch, embedded: Parts) -> None:
    """What is embedded serves all runs of a test process."""

    def load(models: Models, catalogue: Catalogue | None) -> Parts:
        return embedded if models == EMBEDDED else replace(embedded, models=models, _loaded=None)

    monkeypatch.setattr(Parts, "load", load)


def quiet(line: str) -> None:
    pass


def run(out: Path, variants: list[Variant], testset: TestSet, models: Models = EMBEDDED, **how: Any) -> Path:
    """Run and return the last variant's folder."""
    return run_ablation(variants, testset, models, out, **{"chunk": 4, "say": quiet, **how})[-1]


@pytest.mark.parametrize("family", FAMILIES)
def test_every_variant_runs_on_any_chat_model(family: str, tmp_path: Path) -> None:
    model = save_tiny_model(family, tmp_path / "model", max_position_embeddings=4096)
    adapter = save_random_adapter(model, tmp_path / "adapter")
    models = Models(str(model), str(adapter), str(adapter))
    variants = [replace(v, max_new_tokens=min(v.max_new_tokens, 6)) for v in read_variants([VARIANTS])]
    testset, said = clinical(3), []
    run_ablation(variants, testset, models, tmp_path / "out", say=said.append)

    for variant in variants:
        folder = RunFolder(tmp_path / "out" / "clinical" / variant.name)
        record = folder.run()
        if variant.thinking and family != "qwen3":
            assert "no switch enable_thinking" in record["skipped"] and not record["finished"]
            assert any("reasoning: skipped: " in line for line in said) and not folder.rows()
            continue
        rows = folder.rows()
        assert record["finished"] and record["skipped"] is None
        assert [row.row for row in rows] == [row_name(row) for row in testset.rows]
        for row, given in zip(rows, testset.rows, strict=True):
            assert row.gold == {axis: given.gold(axis) for axis in AXES if given.gold(axis)}
            assert list(row.answers) == list(row.gold)
        [cost] = folder.costs()
        assert cost.rows == 3 and cost.seconds > 0 and cost.peak_mb > 10
        assert (cost.tokens > 0) == (variant.answer not in WITHOUT_MODEL)
        assert record["models"].get("adapter", {}).get("fingerprint") == (
            fingerprint(str(adapter)) if variant.adapter != "none" else None
        )
        assert all(("könnten" in prompt) == bool(variant.candidates) for prompt in record["prompts"].values())
        texts = "".join(path.read_text(encoding="utf-8") for path in folder.path.iterdir())
        assert not any(row.text in texts for row in testset.rows)
    # A prompt with ten lines costs more than the same without.
    tokens = {name: _tokens(tmp_path / "out" / "clinical" / name) for name in ("base", "retrieval-on-base")}
    assert tokens["retrieval-on-base"] > 2 * tokens["base"]


def _tokens(folder: Path) -> int:
    return sum(cost.tokens for cost in RunFolder(folder).costs())


def test_the_embedded_model_answers_as_it_does_elsewhere(embedded: Parts) -> None:
    """Each kind of answer against the part of the agent that it is made of."""
    rows = clinical(24).rows
    context = embedded.context(AGENT)
    assert context.weights == Weights.load() and context.prompts == Prompts.of(
        EMBEDDED_MODEL, EMBEDDED_ADAPTER
    )
    agent = CodingAgent(context)
    cores = [core_of(row.text) for row in rows]

    def firsts(variant: Variant) -> list[str | None]:
        replies = answerer_for(variant, embedded).answer(rows)
        return [reply.answers[ICD].code if ICD in reply.answers else None for reply in replies]

    known = [bool(row.icd10) for row in rows]
    found = embedded.base.retriever.distribution(cores, ICD)
    nearest = [found.codes[int(np.argmax(shares))] for shares in found.log_shares]
    assert firsts(RETRIEVAL) == [code if k else None for code, k in zip(nearest, known, strict=True)]

    scores = [scored[ICD] for scored in scores_of_texts(context, [row.text for row in rows], [ICD])]
    assert firsts(replace(WRITTEN, answer="scored")) == [
        one.first_of_model if k else None for one, k in zip(scores, known, strict=True)
    ]
    fitted = context.weights.axes[ICD]
    assert firsts(FUSED) == [
        one.decide(fitted).first if k else None for one, k in zip(scores, known, strict=True)
    ]

    # Written: the likeliest of all tokens after the prompt, one text at a time.
    model = LocalModel.load(*Models().source("plain"))
    vocabulary = {number: token for token, number in model.encoder.tokenizer.get_vocab().items()}
    prefix = "<|icd10gm:"
    likeliest: list[str | None] = []
    for core in cores:
        ids = PromptEncoder(model.encoder.tokenizer).prompts([Prompts("compact").question(core, ICD)])[0]
        logits = model.model(input_ids=model.model.dummy_inputs["input_ids"].new_tensor([ids])).logits
        token = vocabulary[int(logits[0, -1].argmax())]
        code = token.removeprefix(prefix).removesuffix("|>")
        likeliest.append(code if token.startswith(prefix) and code[0].isupper() else None)
    assert firsts(WRITTEN) == [c if k else None for c, k in zip(likeliest, known, strict=True)]

    coded = list(agent.code_many([row.text for row in rows]))
    replies = answerer_for(AGENT, embedded).answer(rows)
    for row, one, reply in zip(rows, coded, replies, strict=True):
        assert reply.tumour == one.tumour and reply.questions == 3
        for axis, answer in reply.answers.items():
            assert row.gold(axis) and answer.code == first_choice(one.coding(axis))
            assert answer.committed == (not one.coding(axis).abstained) == (answer.reason is None)


def test_rows_without_a_code_stay_in_the_set_and_cost_no_question(tmp_path: Path) -> None:
    row = clinical(1).rows[0]
    testset = TestSet("mixed", (replace(row, icd10=None, icdo_topography=None, icdo_morphology=None), row))
    for variant in (RETRIEVAL, WRITTEN, FUSED):
        folder = RunFolder(run(tmp_path, [variant], testset))
        assert [len(r.answers) for r in folder.rows()] == [0, 3] and folder.costs()[0].questions == 3


def test_an_abstention_says_why(embedded: Parts) -> None:
    texts = ("", "Hausbesuch", "Karzinom", "Z.n. Mammaneoplasie DD Metastase?")
    rows = [replace(clinical(1).rows[0], text=text) for text in texts]
    replies = answerer_for(AGENT, embedded).answer(rows)
    reasons = {a.reason for reply in replies for a in reply.answers.values() if not a.committed}
    assert "no_tumour" in reasons and reasons <= {"no_tumour", "unsure", "none_fits"}
    assert of_words("Der Kode ist C50.9, nicht C50.4.", ICD).code == "C50.9"
    assert [of_words(said, ICD).reason for said in ("Keiner.", "weiß nicht", "")] == [
        "none_fits", "malformed", "malformed",
    ]  # fmt: skip


def test_after_a_thought_only_what_follows_it_counts(
    embedded: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = save_tiny_model("qwen3", tmp_path / "model")
    parts = replace(embedded, models=Models(str(model)), _loaded=None)
    answerer = answerer_for(Variant("thinking", "", "written", candidates=0, thinking=True), parts)
    tokenizer = tiny_tokenizer("qwen3")
    said = iter(("<think>C34.1?</think>Also C50.4", "<think>C34.1, also C50.4", "</think> </think>C61"))
    asked: list[str] = []

    def scripted(
        network: Any, _: Any, prompts: list[list[int]], longest: int, *, enough: None
    ) -> list[list[int]]:
        asked.extend(tokenizer.decode(ids) for ids in prompts)
        return [tokenizer(next(said), add_special_tokens=False).input_ids for _ in prompts]

    monkeypatch.setattr("eval.run.answerers.greedy", scripted)
    row = replace(clinical(1).rows[0], icdo_topography=None, icdo_morphology=None)
    replies = answerer.answer([row] * 3)
    answers = [reply.answers[ICD] for reply in replies]
    assert [(a.code, a.reason) for a in answers] == [
        ("C50.4", None), (None, "thought_unfinished"), ("C61", None),
    ]  # fmt: skip
    assert not any("</think>" in prompt for prompt in asked)
    assert answerer.tokens > sum(len(tokenizer(prompt).input_ids) for prompt in asked[:1])


def test_a_model_that_cannot_think_is_told_from_one_that_can() -> None:
    assert thinking_encoder(PromptEncoder(tiny_tokenizer("qwen3"))).chat
    for family, why in (("llama", "no switch"), ("compact", "no chat template")):
        with pytest.raises(NotPossible, match=why):
            thinking_encoder(PromptEncoder(tiny_tokenizer(family)))
    tokenizer = tiny_tokenizer("llama")
    tokenizer.chat_template += "{% if enable_thinking %}{{ 'Denke nach.' }}{% endif %}"
    with pytest.raises(NotPossible, match="no token </think>"):
        thinking_encoder(PromptEncoder(tokenizer))


def test_a_role_that_nobody_named_is_skipped_and_later_run(tmp_path: Path) -> None:
    combined, named = Variant("combined", "", "fused", "candidates", 0), str(EMBEDDED_MODEL)
    folder = run(tmp_path, [combined], clinical(3), Models(named))
    assert RunFolder(folder).run()["skipped"] == (
        "needs an adapter of the role candidates; name it with --adapter-with-candidates"
    )
    adapter = Models().source("plain")[1]
    run(tmp_path, [combined], clinical(3), Models(named, with_candidates=adapter))
    record = RunFolder(folder).run()
    assert record["finished"] and record["skipped"] is None and len(RunFolder(folder).rows()) == 3
    # Left out once more, the answers stay.
    run(tmp_path, [combined], clinical(3), Models(named))
    assert RunFolder(folder).run()["finished"]


def test_an_adapter_that_the_package_lacks_is_an_error_before_anything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "eval.run.models._EMBEDDED_ADAPTERS", {"candidates": tmp_path / "adapter-with-candidates"}
    )
    with pytest.raises(OnkokodeError, match=r"adapter-with-candidates: is not there.*onkokode train all"):
        run(tmp_path / "out", [RETRIEVAL, Variant("combined", "", "fused", "candidates")], clinical(3))
    assert not (tmp_path / "out").exists()


def run_until_killed(out: Path, testset: TestSet, after: int) -> None:
    """Run in a process of its own, which ends by SIGKILL when so many pieces are on the disk."""
    child = os.fork()
    if child == 0:
        torch.set_num_threads(1)  # a forked process has no threads to share its work with
        to_disk, written = os.fsync, 0

        def fsync(number: int) -> None:
            nonlocal written
            to_disk(number)
            written += 1
            if written == after:
                os.kill(os.getpid(), signal.SIGKILL)

        try:
            os.fsync = fsync
            run(out, [WRITTEN, FUSED], testset)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def test_a_killed_run_goes_on_to_the_same_bytes(tmp_path: Path) -> None:
    """A real process is killed twice: after a chunk's rows but before its cost, and between two chunks."""
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    run(whole, [WRITTEN, FUSED], clinical(18))
    for after, variant, rows in ((6, "written", 12), (11, "fused", 4)):
        run_until_killed(killed, clinical(18), after)
        folder = RunFolder(killed / "clinical" / variant)
        assert not folder.run()["finished"] and len(folder.rows()) == rows
    said: list[str] = []
    run(killed, [WRITTEN, FUSED], clinical(18), say=said.append)
    assert "clinical, written: is there already" in said and any("goes on after 4 of 18" in s for s in said)
    for variant in ("written", "fused"):
        ours, theirs = (RunFolder(out / "clinical" / variant) for out in (killed, whole))
        assert (ours.path / "rows.jsonl").read_bytes() == (theirs.path / "rows.jsonl").read_bytes()
        assert [cost.rows for cost in ours.costs()] == [4, 4, 4, 4, 2] and ours.run()["finished"]


@pytest.mark.parametrize(
    ("name", "left"),
    [
        ("rows.jsonl", lambda whole: whole[: len(whole) // 2]),
        ("rows.jsonl", lambda whole: whole[:-5]),
        ("cost.jsonl", lambda whole: whole[: len(whole) // 2]),
        ("cost.jsonl", lambda whole: b""),
        ("rows.jsonl", lambda whole: whole[: len(whole) // 3] + b"\0" * 50 + b"\n"),
    ],
)
def test_half_a_chunk_is_done_again(name: str, left: Any, tmp_path: Path) -> None:
    folder = run(tmp_path, [RETRIEVAL], clinical(10))
    before = (folder / "rows.jsonl").read_bytes()
    path = folder / name
    path.write_bytes(left(path.read_bytes()))
    run(tmp_path, [RETRIEVAL], clinical(10))
    assert (folder / "rows.jsonl").read_bytes() == before and RunFolder(folder).run()["finished"]
    assert [cost.rows for cost in RunFolder(folder).costs()] == [4, 4, 2]


def test_a_chunk_does_not_depend_on_the_one_before(tmp_path: Path) -> None:
    both = clinical(8)
    alone = TestSet("clinical", both.rows[4:])
    for variant in (WRITTEN, FUSED, AGENT):
        lines = (run(tmp_path / "both", [variant], both) / "rows.jsonl").read_text("utf-8").splitlines()
        assert (run(tmp_path / "alone", [variant], alone) / "rows.jsonl").read_text(
            "utf-8"
        ).splitlines() == lines[4:]


def test_a_finished_run_loads_no_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(tmp_path, [FUSED], clinical(3))
    monkeypatch.setattr(ablation, "answerer_for", lambda *_: pytest.fail("loaded a model"))
    run(tmp_path, [FUSED], clinical(3))


@pytest.mark.parametrize(
    ("what", "changed"),
    [
        ("testset", {"testset": 5}),
        ("models", {"models": Models(adapter="another")}),
        ("variant, prompts", {"variant": replace(FUSED, candidates=3)}),
        ("chunk", {"chunk": 2}),
    ],
)
def test_a_folder_of_another_run_is_refused(what: str, changed: dict[str, Any], tmp_path: Path) -> None:
    models = changed.get("models", Models())
    if models.adapter:
        adapter = save_random_adapter(Path(Models().source("none")[0]), tmp_path / "another")
        models = Models(adapter=str(adapter))
    folder = run(tmp_path / "out", [FUSED], clinical(3))
    before = (folder / "rows.jsonl").read_bytes()
    variant, testset = changed.get("variant", FUSED), clinical(changed.get("testset", 3))
    how = {"chunk": changed.get("chunk", 4)}
    with pytest.raises(RunError, match=f"another {what}; use --restart") as caught:
        run(tmp_path / "out", [variant], testset, models, **how)
    assert "\n" not in str(caught.value) and (folder / "rows.jsonl").read_bytes() == before
    run(tmp_path / "out", [variant], testset, models, restart=True, **how)
    assert RunFolder(folder).run()["finished"] and len(RunFolder(folder).rows()) == len(testset.rows)


def test_what_cannot_be_loaded_ends_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such model folder"):
        run(tmp_path, [FUSED], clinical(3), Models(model=str(tmp_path / "none"), adapter=str(tmp_path / "a")))
    found = CliRunner().invoke(cli, ["eval", "run", "--testset", "nothing.tsv", "--out", str(tmp_path)])
    assert found.exit_code == 2 and "nothing.tsv: is no file and none of heldout" in found.output
    assert found.output.count("\n") == 1


def test_the_command_runs_chosen_variants_with_their_candidates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ablation, "CHUNK", 4)
    options = ["--testset", str(CLINICAL), "--rows", "3", "--shared", str(NOWHERE), "--candidates", "3"]
    found = CliRunner().invoke(
        cli, ["eval", "run", *options, "--only", "retrieval-on-base,base", "--out", str(tmp_path)]
    )
    assert found.exit_code == 0, found.output
    assert "clinical, base: 3 rows, " in found.output and "onkokode eval report" in found.output
    asked = {name: RunFolder(tmp_path / "clinical" / name).run()["variant"]["candidates"] for name in
             ("base", "retrieval-on-base")}  # fmt: skip
    assert asked == {"base": 0, "retrieval-on-base": 3}


def test_a_test_set_is_known_by_its_rows(tmp_path: Path) -> None:
    testset = clinical(3)
    assert testset.sha256 == clinical(3).sha256 != clinical(4).sha256
    first, *others = testset.rows
    for changed in (replace(first, text=first.text + " "), replace(first, icd10="C80.9")):
        assert TestSet("clinical", (changed, *others)).sha256 != testset.sha256
    assert load_testset(str(CLINICAL), shared=NOWHERE).rows == read_testset(CLINICAL)
    for name, why in (("composed", "train all"), ("devsets", "--shared"), ("heldout", "--shared")):
        with pytest.raises(TestSetError, match=why):
            load_testset(name, shared=tmp_path, corpus=tmp_path)


def test_a_text_that_a_catalogue_says_is_seen(tmp_path: Path) -> None:
    (tmp_path / "catalogues").mkdir()
    (tmp_path / "catalogues" / "alphabet.txt").write_text(PLAIN_ALPHABET, encoding="utf-8")
    path = tmp_path / "own.tsv"
    path.write_text(
        "text\ticd10\ticdo_topography\ticdo_morphology\tnote\n"
        "Pankreastumor, bösartig\tC25.9\t\t\ttumour\nMammakarzinom\tC50.9\t\t\t\n"
        "Pankreastumor, bösartig, wie gestern besprochen\tC25.9\t\t\t\n",
        encoding="utf-8",
    )
    notes = [row.note for row in load_testset(str(path), shared=tmp_path).rows]
    assert notes == [("tumour", "seen"), ("seen",), ("unseen",)]  # the second stands in the lexicon


def test_a_row_is_recorded_with_all_that_its_score_needs(tmp_path: Path) -> None:
    row: Row = replace(clinical(1).rows[0], note=("tumour", "doubtful", "near_duplicate_series=3"))
    folder = RunFolder(run(tmp_path, [FUSED], TestSet("one", (row,))))
    [recorded] = folder.rows()
    assert recorded.notes == row.note and recorded.cluster == "near_duplicate_series=3"
    assert recorded.tumour == (True, None)
    answer = recorded.answers[ICD]
    assert answer.code == answer.top[0] and len(answer.top) == 10 and answer.confidence is not None
    assert AnsweredRow.from_json(recorded.to_json()) == recorded
    [edition] = folder.run()["catalogue"]["editions"].values()
    assert all(len(file["sha256"]) == 64 for file in edition["files"])
