"""The dialogs of the page that are rendered when they open: what the list is narrowed by, what would be accepted
together, contradictions, and the statistics."""

from __future__ import annotations

from agent.apps.review.bulk import THRESHOLDS
from agent.apps.review.desk import Desk
from agent.apps.review.notices import COMPARED_NAMES
from agent.apps.review.statistics import Statistics
from agent.apps.review.store import Store
from agent.apps.review.view import render

_ROWS = 200
_BOUNDS = (0.99, 0.95, 0.9, 0.8, 0.5)


class Panels:
    """Renders the dialogs."""

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
        return render("statistics.html", told=Statistics.of(store), names=COMPARED_NAMES)
