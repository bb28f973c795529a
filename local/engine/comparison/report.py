"""The comparison as a document: what differs, and a table of all requests."""

from __future__ import annotations

from collections.abc import Sequence

from local.engine.comparison.differences import Verdict
from local.engine.comparison.environment import Release
from local.engine.comparison.observations import Observed
from local.engine.comparison.rendered import CommandLine


def report(release: Release, verdict: Verdict, commands: Sequence[CommandLine], real: Observed) -> str:
    """The comparison in Markdown."""
    lines = [f"# Emulator against {release.described}", ""]
    lines += [
        f"{len(commands)} command lines given to vLLM's own parser, {len(real.answers)} requests, "
        f"{len(real.used)} metric families.",
        "",
        "## Unexpected differences",
        "",
    ]
    lines += [f"- {name}: {what}" for name, what in verdict.unexpected.items()] or ["None."]
    lines += ["", "## Known differences", ""]
    lines += [f"- {name}: {verdict.reasons[name]}\n  - {what}" for name, what in verdict.known.items()] or [
        "None."
    ]
    if verdict.gone:
        lines += ["", "## Known differences that are gone", "", *(f"- {name}" for name in verdict.gone)]
    lines += ["", "## Requests", "", "| Request | Status of vLLM | Emulator |", "|---|---|---|"]
    lines += [
        f"| {name} | {shape.status or ''} | {_outcome(name, verdict)} |"
        for name, shape in real.answers.items()
    ]
    return "\n".join(lines) + "\n"


def _outcome(name: str, verdict: Verdict) -> str:
    """equal, or which aspects of the answer differ."""
    prefix = f"answer to {name}: "
    unexpected = [each.removeprefix(prefix) for each in verdict.unexpected if each.startswith(prefix)]
    known = [each.removeprefix(prefix) for each in verdict.known if each.startswith(prefix)]
    if unexpected:
        return f"**different**: {', '.join(unexpected)}"
    return f"known: {', '.join(known)}" if known else "equal"
