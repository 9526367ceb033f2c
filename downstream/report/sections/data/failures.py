"""Failed objects of the preparation, with the reasons."""

from collections import Counter

from markupsafe import Markup

from downstream.report.evidence import Evidence
from downstream.report.table import Table
from downstream.report.templating import render, render_table

MOST = 300


def render_failures(evidence: Evidence) -> Markup | None:
    """Render the rows of ``/failures`` of the map file, or one line if there are none."""
    if evidence.maps is None:
        return None
    failures = evidence.maps.failures
    if not failures:
        return render("failures.html", total=len(evidence.maps), tables=[])
    reasons = Counter(reason for _, reason in failures).most_common(MOST)
    part = f" (the first {MOST} of {len(failures)})" if len(failures) > MOST else ""
    tables = [
        Table(caption="Reasons", columns=["reason", "objects"], rows=[[reason, count] for reason, count in reasons]),
        Table(caption=f"Objects{part}", columns=["object", "reason"], rows=[list(each) for each in failures[:MOST]]),
    ]
    return render("failures.html", total=len(evidence.maps), tables=[render_table(table) for table in tables])
