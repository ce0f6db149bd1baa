"""The command: the findings as a table or as JSON, and the exit status."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from pathfuse.cli.doctor.examine import as_json, examine
from pathfuse.cli.text import print_help
from pathfuse.cli.words import Words


def doctor(words: list[str]) -> int:
    """Says what of this installation is as it should be; the exit status is 1 if something is not."""
    line = Words.split(words)
    if line.has("help"):
        return print_help("doctor")
    wants_json = line.take("json") is not None
    line.finish()
    findings = examine()
    if wants_json:
        print(as_json(findings))
    else:
        table, before = Table("", "", "what", "", box=None), ""
        for finding in findings:
            about = "" if finding.about == before else finding.about
            state = "" if finding.state == "ok" else finding.state
            table.add_row(about, state, finding.what, Text(finding.said))  # brackets of an extra are no markup
            before = finding.about
        Console().print(table)
    return 1 if any(finding.state == "problem" for finding in findings) else 0
