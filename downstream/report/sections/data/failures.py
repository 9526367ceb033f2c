"""Failed objects of the preparation with the reasons, and what the readers did not take literally."""

import re
from collections import Counter
from collections.abc import Sequence

from markupsafe import Markup

from downstream.report.evidence import Evidence
from downstream.report.table import Table
from downstream.report.templating import render, render_table

MOST = 300


def render_failures(evidence: Evidence) -> Markup | None:
    """Render the rows of ``/failures`` and ``/notes`` of the map file; without failures one line says so."""
    if evidence.maps is None:
        return None
    failures = evidence.maps.failures
    notes = _tabulate_notes(evidence.maps.notes)
    if not failures:
        return render("failures.html", total=len(evidence.maps), tables=[], notes=notes)
    reasons = Counter(reason for _, reason in failures).most_common(MOST)
    part = f" (the first {MOST} of {len(failures)})" if len(failures) > MOST else ""
    tables = [
        Table(caption="Reasons", columns=["reason", "objects"], rows=[[reason, count] for reason, count in reasons]),
        Table(caption=f"Objects{part}", columns=["object", "reason"], rows=[list(each) for each in failures[:MOST]]),
    ]
    return render(
        "failures.html", total=len(evidence.maps), tables=[render_table(table) for table in tables], notes=notes
    )


def _tabulate_notes(notes: Sequence[tuple[str, str]]) -> Markup | None:
    """Render the kinds of notes with the number of objects and an example; None without notes."""
    if not notes:
        return None
    kinds = Counter(re.sub(r"\d+", "0", note) for _, note in notes)
    examples = {re.sub(r"\d+", "0", note): (identity, note) for identity, note in reversed(notes)}
    rows = [[examples[kind][1], count, examples[kind][0]] for kind, count in kinds.most_common(MOST)]
    return render_table(Table(caption="Read, but not literally", columns=["note", "objects", "for example"], rows=rows))
