"""The commands that reproduce the maps, the run and its results."""

import shlex
from pathlib import Path

from markupsafe import Markup

from downstream.report.commands import (
    build_evaluate_command,
    build_prep_command,
    build_pretrain_command,
    build_probe_command,
)
from downstream.report.evidence import Evidence
from downstream.report.templating import render
from pretext.runs.origin import is_encoder, name_option


def render_reproduction(evidence: Evidence) -> Markup | None:
    """Render the commands with all settings, and the command that was typed."""
    plan, folder = evidence.run.plan, evidence.run.folder
    is_trained_here = not is_encoder(evidence.run)
    data = Path(plan.data).parent if is_trained_here or evidence.maps is None else evidence.maps.path.parent
    commands = [("the maps", build_prep_command(evidence.maps))] if evidence.maps else []
    commands += [("the training", build_pretrain_command(plan, folder))] if is_trained_here else []
    commands += [(f"probe: {result['file']}", build_probe_command(result, data)) for result in evidence.probes
                 if "maps" in result]  # fmt: skip
    commands += [(f"evaluation: {result['file']}", build_evaluate_command(result, plan, data))
                 for result in evidence.evaluations]  # fmt: skip
    commands.append(("this report", shlex.join(["spectral-ssl", "report", *name_option(evidence.run)])))
    return render(
        "reproduce.html",
        commands=commands,
        typed=evidence.environment.get("command"),
        commit=evidence.environment.get("commit"),
        version=evidence.environment.get("spectral_ssl"),
        digest=plan.data_digest,
        path_unknown=evidence.maps is not None and ":" in evidence.maps.source,
    )
