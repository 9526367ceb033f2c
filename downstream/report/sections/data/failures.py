"""Objects that the preparation could not use, with the reasons."""

from collections import Counter

from markupsafe import Markup

from downstream.report.evidence import Evidence
from downstream.report.table import Table
from downstream.report.templating import fragment, render

MOST = 300


def failures(evidence: Evidence) -> Markup | None:
    """The rows of ``/failures`` of the map file; one line where there are none."""
    if evidence.maps is None:
        return None
    found = evidence.maps.failures
    if not found:
        return render("failures.html", total=len(evidence.maps), tables=[])
    reasons = Counter(reason for _, reason in found).most_common(MOST)
    left_out = f" (the first {MOST} of {len(found)})" if len(found) > MOST else ""
    tables = [
        Table(caption="Reasons", columns=["reason", "objects"], rows=[[reason, count] for reason, count in reasons]),
        Table(caption=f"Objects{left_out}", columns=["object", "reason"], rows=[list(each) for each in found[:MOST]]),
    ]
    return render("failures.html", total=len(evidence.maps), tables=[fragment(table) for table in tables])
