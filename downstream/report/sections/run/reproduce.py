"""The commands that make the maps, the run and its results again."""

import shlex
from pathlib import Path

from markupsafe import Markup

from downstream.report.commands import evaluate_command, prep_command, pretrain_command, probe_command
from downstream.report.evidence import Evidence
from downstream.report.templating import render


def reproduce(evidence: Evidence) -> Markup | None:
    """What was typed, and the commands that say the same in full."""
    plan, folder = evidence.run.plan, evidence.run.folder
    data = Path(plan.data).parent
    commands = [("the maps", prep_command(evidence.maps))] if evidence.maps else []
    commands.append(("the training", pretrain_command(plan, folder)))
    commands += [(f"probe: {result['file']}", probe_command(result, data)) for result in evidence.probes
                 if "maps" in result]  # fmt: skip
    commands += [(f"evaluation: {result['file']}", evaluate_command(result, plan, data))
                 for result in evidence.evaluations]  # fmt: skip
    commands.append(("this report", shlex.join(["spectral-ssl", "report", "--run", str(folder)])))
    return render(
        "reproduce.html",
        commands=commands,
        typed=evidence.environment.get("command"),
        commit=evidence.environment.get("commit"),
        version=evidence.environment.get("spectral_ssl"),
        digest=plan.data_digest,
        path_unknown=evidence.maps is not None and ":" in evidence.maps.source,
    )
