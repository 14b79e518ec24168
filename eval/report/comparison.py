"""Run folders in, numbers out: every variant on every axis, tested against the reference on the same rows.

    scores = compare(read_runs([Path("runs/ablation")]))        # JSON types, always the same for the same rows

Rows with a code of a tumour count. Those that are literally catalogue lines stand apart; *exact* leaves out doubtful
codes and subsites that the text does not name. What counts is the *first choice*, also where the variant abstains,
unless *coded* is said. There is no other definition of these figures.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Hashable, Sequence
from dataclasses import asdict
from functools import cached_property
from typing import Any

from eval.report.knowing import abstaining, calibrated, honest_coverage, risk_coverage
from eval.report.section import Share, tracked
from eval.run.compare import Run, Runs
from eval.run.folder import Answer, AnsweredRow
from eval.scoring import (
    Score,
    chapter_group,
    coverage_at_error,
    distances,
    macro_accuracy,
    score,
    stem,
    top_k_hits,
)
from eval.statistics import cluster_bootstrap, holm, mcnemar, smallest_difference
from eval.testset import APART, IN_ALPHA_ID, counts_for_exact, noted
from index.records import AXES, CodeSystem

TOP_K = (1, 3, 5, 10)
ERRORS = (0.01, 0.02, 0.05)
ASSUMED_DISCORDANT = (0.05, 0.10, 0.20)
ALPHA, POWER = 0.05, 0.8
# How certain a threshold with a margin is to be that no more answers are wrong than allowed.
MARGIN = 0.95
SURE_SHARES = (0.25, 0.5, 0.75, 0.9, 1.0)
_PAIRS = 12
_CURVE = 200


def compare(runs: Runs) -> dict[str, Any]:
    """All scores, in JSON types."""
    sets = tracked([*runs.by_set.items()], "scoring the sets")
    return {
        "format": 1,
        "alpha": ALPHA,
        "power": POWER,
        "sets": {name: _set_scores(of_set) for name, of_set in sets},
        "left_out": [asdict(run) for run in runs.left_out],
    }


def _set_scores(every: Sequence[Run]) -> dict[str, Any]:
    # Lists of candidates are no answers, so they take no part in the tests.
    lists = [run for run in every if run.info["variant"].get("answer") == "candidates"]
    runs = [run for run in every if run not in lists] or every
    judged = {axis: [_Judged(run, axis) for run in runs if run not in lists] for axis in AXES}
    return {
        "n": len(runs[0].rows),
        "sha256": runs[0].info["testset"].get("sha256"),
        "reference": runs[0].variant,
        "variants": [run.variant for run in runs],
        "recognition": {run.variant: found for run in runs if (found := _recognition(run.rows))},
        "traps": {run.variant: found for run in runs if (found := _traps(run.rows))},
        "recall": {run.variant: _recall(run.rows) for run in lists},
        "axes": {
            axis.value: _axis_scores([one for one in all_runs if one.asked])
            for axis, all_runs in judged.items()
            if any(one.asked for one in all_runs)
        },
    }


class _Judged:
    """A run's answers on one axis beside the codes given. `own` are the rows that are no catalogue lines,
    `counted` those among them that may count for exact."""

    def __init__(self, run: Run, axis: CodeSystem) -> None:
        self.variant, self.axis = run.variant, axis
        self.rows = [row for row in run.rows if is_coded(row, axis)]
        self.gold = [row.gold[axis] for row in self.rows]
        # A row that the variant left out counts as malformed, so that n stays whole.
        self.answers = [row.answers.get(axis, Answer(None, committed=False)) for row in self.rows]
        self.asked = any(axis in row.answers for row in self.rows)
        self.clusters = _clusters(self.rows)
        self.own = [i for i, row in enumerate(self.rows) if not noted(row.notes, IN_ALPHA_ID)]
        self.counted = [i for i in self.own if counts_for_exact(self.rows[i].notes)]

    @cached_property
    def score(self) -> Score:
        return score(self.gold, [answer.code for answer in self.answers], self.axis)

    def share(self, hits: Sequence[bool], where: Sequence[int]) -> dict[str, Any]:
        return _share(pick(hits, where), pick(self.clusters, where))

    def both(self, exact: Sequence[int], partial: Sequence[int], kept: Container[int]) -> dict[str, Any]:
        """The shares right, exact and partial, of those rows that are kept."""
        return {
            "exact": self.share(self.score.exact_hits, [i for i in exact if i in kept]),
            "partial": self.share(self.score.partial_hits, [i for i in partial if i in kept]),
        }


def is_coded(row: AnsweredRow, axis: CodeSystem) -> bool:
    """Whether the row is a tumour diagnosis with a given code on the axis."""
    return axis in row.gold and row.tumour[0] is not False


def pick(values: Sequence[Any], where: Sequence[int]) -> list[Any]:
    """The values at those places."""
    return [values[i] for i in where]


def _axis_scores(judged: Sequence[_Judged]) -> dict[str, Any]:
    first, others = judged[0], judged[1:]
    n = len(first.counted)
    found = {one.variant: _variant_scores(one) for one in judged}
    for measure in ("exact", "partial"):
        against = [_against(one, first, measure) for one in others]
        for one, test, p in zip(others, against, holm([test["p"] for test in against]), strict=True):
            found[one.variant].setdefault("against", {})[measure] = {**test, "p_holm": p}
    # Holm's first step, the hardest one, asks for alpha divided by the number of tests.
    levels = sorted({ALPHA, ALPHA / max(1, len(others))}, reverse=True)
    return {
        "n": len(first.own),
        "n_exact": n,
        "reference": first.variant,
        "tests": len(others),
        "smallest": [
            {"discordant": psi, "alpha": alpha, "difference": smallest_difference(n, psi, alpha, POWER)}
            for psi in ASSUMED_DISCORDANT
            for alpha in levels
        ],
        "variants": found,
    }


def _variant_scores(one: _Judged) -> dict[str, Any]:
    scored, own, counted = one.score, one.own, one.counted
    committed = [answer.committed and hit for answer, hit in zip(one.answers, scored.exact_hits, strict=True)]
    silent = [answer is None for answer in scored.found]
    steps = distances(one.gold, scored.found, one.axis)
    return {
        **one.both(counted, own, range(len(one.rows))),
        "malformed": one.share(silent, own),
        "coded_exact": one.share(committed, counted),
        "macro_exact": macro_accuracy(pick(one.gold, counted), pick(scored.exact_hits, counted)),
        "distance": sum(pick(steps, own)) / len(own) if own else None,
        "distances": [pick(steps, own).count(step) for step in range(4)],
        "top_k": _top_k(one),
        "strata": _strata(one),
        "groups": {} if one.axis is CodeSystem.MORPHOLOGY else _groups(one),
        "knowing": _knowing(one),
        "abstaining": asdict(
            abstaining(
                [one.answers[i].committed for i in counted],
                [one.answers[i].reason for i in counted],
                pick(scored.exact_hits, counted),
            )
        ),
        "confused": _confused(one),
    }


def ranked(answer: Answer) -> list[str]:
    """The first choice and then the ranking, each code once."""
    return list(dict.fromkeys([*([answer.code] if answer.code else []), *answer.top]))


def _top_k(one: _Judged) -> dict[str, Any]:
    """None beyond the first where a variant ranks nothing."""
    lists = [ranked(answer) for answer in one.answers]
    deep = any(len(codes) > 1 for codes in lists)
    return {
        str(k): one.share(top_k_hits(one.gold, lists, k), one.counted) if deep or k == 1 else None
        for k in TOP_K
    }


def _strata(one: _Judged) -> dict[str, Any]:
    """Seen and unseen terms among the rows that count, and the rows that stand apart."""
    every, found = range(len(one.rows)), {}
    for name in ("seen", "unseen", *APART):
        exact, partial = (every, every) if name in APART else (one.counted, one.own)
        found[name] = one.both(exact, partial, {i for i in every if noted(one.rows[i].notes, name)})
    return {name: value for name, value in found.items() if value["exact"]["n"]}


def _groups(one: _Judged) -> dict[str, Any]:
    names = [chapter_group(code, one.axis) or "other" for code in one.gold]
    return {
        name: one.both(one.counted, one.own, {i for i in one.own if names[i] == name})
        for name in sorted({names[i] for i in one.own})
    }


def _knowing(one: _Judged) -> dict[str, Any] | None:
    """None for a variant that has no confidence."""
    given = [one.answers[i].confidence for i in one.counted]
    sure = [confidence for confidence in given if confidence is not None]
    if not sure or len(sure) < len(given):
        return None
    hits, clusters = pick(one.score.exact_hits, one.counted), pick(one.clusters, one.counted)
    curve = risk_coverage(sure, hits)
    points = list(zip(curve.coverages, curve.risks, strict=True))
    step = -(-len(points) // _CURVE)
    return {
        "calibration": asdict(calibrated(sure, hits, clusters)),
        "risk_area": curve.area,
        "risk_area_best": curve.best,
        "risk_at": {str(share): curve.risk_at(share) for share in SURE_SHARES},
        "curve": [*points[:-1:step], points[-1]],
        "coverage": {
            str(error): {
                "same_rows": asdict(coverage_at_error(sure, hits, error)),
                **{
                    name: asdict(found)
                    for name, level in (("honest", None), ("with_margin", MARGIN))
                    if (found := honest_coverage(sure, hits, clusters, error, level=level))
                },
            }
            for error in ERRORS
        },
    }


def _confused(one: _Judged) -> dict[str, Any]:
    """The most frequent wrong pairs (given, said, times): neighbours share the three characters, others do not."""
    pairs = [
        (one.gold[i], said) for i in one.counted if (said := one.score.found[i]) not in (None, one.gold[i])
    ]

    def most(keep: Callable[[str, str], bool]) -> dict[str, Any]:
        counts = Counter((right, said) for right, said in pairs if keep(right, str(said)))
        best = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:_PAIRS]
        return {"n": sum(counts.values()), "pairs": [[*pair, times] for pair, times in best]}

    return {
        "neighbours": most(lambda right, said: stem(right) == stem(said)),
        "others": most(lambda right, said: stem(right) != stem(said)),
    }


def _against(one: _Judged, reference: _Judged, measure: str) -> dict[str, Any]:
    """A variant against the reference on the same rows; a positive difference says that the variant is better."""
    where = reference.counted if measure == "exact" else reference.own
    mine, theirs = (pick(getattr(side.score, f"{measure}_hits"), where) for side in (one, reference))
    test, n = mcnemar(mine, theirs), len(where)
    gains = [float(a) - float(b) for a, b in zip(mine, theirs, strict=True)]
    discordant = (test.only_first + test.only_second) / n if n else 0.0
    return {
        "only_this": test.only_first,
        "only_reference": test.only_second,
        "difference": sum(gains) / n if n else 0.0,
        "interval": asdict(cluster_bootstrap(gains, pick(reference.clusters, where))) if n else None,
        "p": test.p,
        "discordant": discordant,
        "smallest": smallest_difference(n, discordant, ALPHA, POWER),
    }


def _recognition(rows: Sequence[AnsweredRow]) -> dict[str, Any]:
    """Tumour or not, over the rows of which both the set and the variant say it; and where the rows come from
    several files, or some are said by no catalogue, for these by themselves."""
    stated = [row for row in rows if None not in row.tumour]
    kinds = {
        "accuracy": stated,
        "sensitivity": [row for row in stated if row.tumour[0]],
        "specificity": [row for row in stated if not row.tumour[0]],
        "texts that no catalogue says": [row for row in stated if "unseen" in row.notes],
    }
    files = dict.fromkeys(_file_of(row) for row in stated)
    if len(files) > 1:
        kinds |= {name: [row for row in stated if _file_of(row) == name] for name in files}
    return {
        name: _share_of(of_kind, lambda row: row.tumour[0] == row.tumour[1])
        for name, of_kind in kinds.items()
        if of_kind
    }


def _file_of(row: AnsweredRow) -> str:
    return row.row.rpartition(":")[0]


def _traps(rows: Sequence[AnsweredRow]) -> dict[str, Any]:
    """The share of traps passed, by kind and of all; empty where there are none."""
    traps = [row for row in rows if row.missed is not None]
    kinds = {
        kind: [row for row in traps if kind in row.notes]
        for kind in sorted({*sum((r.notes for r in traps), ())})
    }
    kinds |= {"all": traps} if traps else {}
    return {kind: _share_of(of_kind, lambda row: not row.missed) for kind, of_kind in kinds.items()}


def _recall(rows: Sequence[AnsweredRow]) -> dict[str, Any]:
    """By axis and length k, the share of given codes that are among the k candidates."""
    found = {}
    for axis in AXES:
        asked = [row for row in rows if is_coded(row, axis) and axis in row.answers]
        lengths = sorted({k for row in asked for k in row.answers[axis].recalled})
        recalled = {k: [k in row.answers[axis].recalled for row in asked] for k in lengths}
        found[axis.value] = {str(k): _share(hits, _clusters(asked)) for k, hits in recalled.items()}
    return {axis: shares for axis, shares in found.items() if shares}


def _share_of(rows: Sequence[AnsweredRow], right: Callable[[AnsweredRow], bool]) -> dict[str, Any]:
    return _share([right(row) for row in rows], _clusters(rows))


def _clusters(rows: Sequence[AnsweredRow]) -> list[str]:
    return [row.cluster or row.row for row in rows]


def _share(hits: Sequence[bool], clusters: Sequence[Hashable]) -> dict[str, Any]:
    share = Share.of("", hits, clusters=clusters)
    return {
        "hits": share.hits,
        "n": share.n,
        "share": share.value,
        "interval": asdict(share.interval),
        "clustered": asdict(share.clustered) if share.clustered else None,
    }
