"""The dialogs of the page that are rendered when they open: what the list is narrowed by, what would be accepted
together, contradictions, and the statistics."""

from __future__ import annotations

from agent.apps.documents.formats import ENDINGS, MAX_BYTES
from agent.apps.files.formats import TABLE_ENDINGS
from agent.apps.files.table import TableOptions
from agent.apps.review.brought import DELIMITERS, ENCODINGS, NO_HEADER, Brought
from agent.apps.review.bulk import THRESHOLDS
from agent.apps.review.desk import Desk
from agent.apps.review.intake import Intake
from agent.apps.review.notices import COMPARED_NAMES
from agent.apps.review.statistics import Statistics
from agent.apps.review.store import Store
from agent.apps.review.uploads import LARGEST
from agent.apps.review.view import render
from agent.apps.shares import wilson

_ROWS = 200
_BOUNDS = (0.99, 0.95, 0.9, 0.8, 0.5)


class Panels:
    """Renders the dialogs. Without an `intake` no tables are taken."""

    def __init__(self, intake: Intake | None = None) -> None:
        self.intake = intake

    def tables(self, prefix: str, brought: Brought | None = None, wrong: str = "") -> str:
        """The tables of the list, how far a reading is, and how one that was brought is read."""
        sources = self.intake.sources() if self.intake is not None else []
        progress = self.intake.progress if self.intake is not None else None
        waiting = len(self.intake.inbox.waiting()) if self.intake is not None else 0
        return render(
            "tables.html",
            prefix=prefix,
            sources=sources,
            progress=progress,
            brought=brought,
            wrong=wrong,
            waiting=waiting,
            limits=(LARGEST >> 20, MAX_BYTES >> 20),
            endings=(",".join(sorted(TABLE_ENDINGS)), ",".join(ENDINGS)),
            encodings=ENCODINGS,
            delimiters=DELIMITERS,
            no_header=NO_HEADER,
            none_chosen=TableOptions(),
            sheets=[(name, name) for name in brought.sheets] if brought is not None else [],
            headers=_headers(brought) if brought is not None else [],
        )

    def narrow(self, desk: Desk) -> str:
        """The form that narrows the list."""
        return render(
            "narrow.html",
            narrow=desk.listing.narrow,
            bounds=_BOUNDS,
            sources=desk.store.sources(),
            status=desk.status,
        )

    def preview(self, desk: Desk) -> str:
        """What would be accepted together."""
        preview = desk.preview
        rows = preview.rows[:_ROWS] if preview is not None else ()
        more = (preview.count if preview is not None else 0) - len(rows)
        return render(
            "threshold.html", desk=desk, preview=preview, rows=rows, more=more, thresholds=THRESHOLDS
        )

    def contradictions(self, desk: Desk) -> str:
        """What speaks against the choice that was to be confirmed."""
        return render("ask.html", asked=desk.asked)

    def statistics(self, store: Store) -> str:
        """How the work went."""
        return render("statistics.html", told=Statistics.of(store), names=COMPARED_NAMES, wilson=wilson)


def _headers(brought: Brought) -> list[tuple[str, str]]:
    """The rows that may hold the names of the columns: the first ones, and one that is chosen or found below them."""
    rows = {str(number) for number, _ in brought.first}
    rows |= {
        str(one) for one in (brought.form.header, brought.taken.get("header_row")) if str(one).isdecimal()
    }
    return [(row, f"Zeile {row}") for row in sorted(rows, key=int)]
