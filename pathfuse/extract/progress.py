"""Progress of an extraction, for the person who waits."""

from __future__ import annotations

from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

from pathfuse.errors import listed
from pathfuse.extract.status import Status


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        """Patches per second; slides have none."""
        return Text(f"{task.speed:.0f} patches/s" if task.speed and task.fields.get("rate") else "")


class ExtractProgress:
    """Two bars, all slides and the patches of this one, and a line per finished slide.

    Args:
        slides: how many there are.
        console: where to write; without a terminal only the lines are written.
    """

    def __init__(self, slides: int, console: Console) -> None:
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(), TimeRemainingColumn())
        self.console = console
        self._bars = Progress(*columns, console=console, transient=True, disable=not console.is_terminal)
        self._slides = self._bars.add_task("slides", total=slides)
        self._patches = self._bars.add_task("", total=None, visible=False)

    def __enter__(self) -> ExtractProgress:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def begin(self, slide: str, patches: int) -> None:
        """A slide whose patches are known."""
        self._bars.reset(self._patches, description=escape(slide[:40]), total=patches, visible=True, rate=True)

    def advance(self, patches: int) -> None:
        """Some of its patches are written."""
        self._bars.advance(self._patches, patches)

    def show(self, text: str, patches: int, of: int) -> None:
        """How far all of it is, where several slides are done at a time."""
        self._bars.update(self._patches, description=text, completed=patches, total=of, visible=True, rate=True)

    def note(self, text: str) -> None:
        """A line that a person should see."""
        self.console.print(text, markup=False, highlight=False, soft_wrap=True)

    def finish(self, status: Status) -> None:
        """A slide is finished, one way or the other."""
        self._bars.update(self._patches, visible=False)
        self._bars.advance(self._slides)
        if status.status != "skipped":
            style = "red" if status.status == "failed" else None
            self.console.print(_line(status), style=style, highlight=False, soft_wrap=True)


def _line(status: Status) -> str:
    if status.status != "done":
        return escape(f"{status.slide}: {status.status} ({status.reason})")
    rate = int(status.patches) / max(float(status.seconds), 1e-9)
    return escape(f"{status.slide}: {status.patches} patches in {status.seconds} s, {rate:.0f}/s")


def summary(statuses: list[Status], seconds: float, table: str) -> list[str]:
    """The closing lines; the last one names the failures, if there are any."""
    count = {state: sum(one.status == state for one in statuses) for state in ("done", "empty", "skipped", "failed")}
    patches = sum(int(one.patches) for one in statuses if one.status == "done")
    lines = [
        f"{count['done']} done, {count['empty']} without patches, {count['skipped']} skipped, "
        f"{count['failed']} failed; {patches} patches in {seconds:.0f} s, {patches / max(seconds, 1e-9):.0f}/s. {table}"
    ]
    failed = [one.slide for one in statuses if one.status == "failed"]
    if failed:
        lines.append(f"failed: {listed(failed, 10)}; the reasons are in {table}")
    return lines
