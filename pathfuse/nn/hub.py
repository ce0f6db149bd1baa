"""Files from the Hugging Face hub: a pinned revision, patience that ends, and one line for every refusal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from pathlib import Path
from threading import Thread
from typing import TypeVar

from huggingface_hub import constants, hf_hub_download, try_to_load_from_cache
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    LocalEntryNotFoundError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.utils import get_session  # type: ignore[attr-defined]

from pathfuse.errors import WeightsError

T = TypeVar("T")

# A name server that never answers blocks its caller for minutes, whatever timeout the request carries.
PATIENCE_S = 5.0


def fetch(repo: str, files: Sequence[str], revision: str = "") -> Path:
    """The first of some files of a repository that is there; a file in the cache asks no network.

    Args:
        repo: `OWNER/MODEL`.
        files: names to try, in this order.
        revision: commit, branch or tag; empty takes the main branch.

    Raises:
        WeightsError: if the hub does not answer, asks for consent first, or has none of the files.
    """
    cached = in_cache(repo, files, revision)
    if cached is not None:
        return cached
    try:
        ask(constants.ENDPOINT)
        found = _first(repo, files, revision)
    except Exception as error:  # every transport library has errors of its own
        raise refused(repo, revision, error) from error
    if found is None:
        raise WeightsError(
            f"weights 'hub': {repo} has no file {' or '.join(files)}. Download what it has, and give its path."
        )
    return found


def in_cache(repo: str, files: Sequence[str], revision: str = "") -> Path | None:
    """The first of some files that an earlier download left behind; None if there is none."""
    for file in files:
        found = try_to_load_from_cache(repo, file, revision=revision or None)
        if isinstance(found, str):
            return Path(found)
    return None


def refused(repo: str, revision: str, error: Exception) -> WeightsError:
    """The one line for a hub that does not hand out a file, with the steps that lead to it."""
    at = f" --revision {revision}" if revision else ""
    if isinstance(error, GatedRepoError):
        steps = (
            f"{repo} is gated. Accept its terms at {constants.ENDPOINT}/{repo}, log in with `hf auth login`, and try "
            "again; or give the path of a copy."
        )
    elif isinstance(error, RevisionNotFoundError):
        steps = f"{repo} has no revision {revision}. Correct it, or leave it out."
    elif isinstance(error, RepositoryNotFoundError):
        steps = (
            f"the hub knows no {repo}, or does not show it to you. Log in with `hf auth login` if it is private or "
            "gated; or give the path of a copy."
        )
    else:
        steps = (
            f"{repo} cannot be downloaded ({first_line(error)}). Check the network; or download it elsewhere with "
            f"`hf download {repo}{at} --local-dir FOLDER`, and give the path of that folder."
        )
    return WeightsError(f"weights 'hub': {steps}")


def ask(url: str) -> None:
    """Returns if somebody answers at an address.

    Raises:
        ConnectionError: if a proxy or the server refuses.
        TimeoutError: if nobody answers in time.
    """

    def head() -> int:
        return int(get_session().head(url, timeout=PATIENCE_S).status_code)

    status = within(PATIENCE_S, head)
    if status in (403, 407) or status >= 500:
        raise ConnectionError(f"HTTP {status}")


def within(seconds: float, call: Callable[[], T]) -> T:
    """The result of a call that may hang where no timeout reaches it, as in a name lookup.

    Raises:
        TimeoutError: if it has not answered in time; its thread is left behind and does not hold up the exit.
    """
    answer: Future[T] = Future()

    def work() -> None:
        try:
            answer.set_result(call())
        except Exception as error:  # noqa: BLE001 - handed on to whoever waits
            answer.set_exception(error)

    Thread(target=work, daemon=True, name="pathfuse-hub").start()
    try:
        return answer.result(seconds)
    except TimeoutError as error:
        raise TimeoutError(str(error) or f"no answer in {seconds:g} s") from error


def first_line(error: Exception) -> str:
    """Kind and first line of an error."""
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0][:200]}" if text else type(error).__name__


def _first(repo: str, files: Sequence[str], revision: str) -> Path | None:
    for file in files:
        try:
            return Path(hf_hub_download(repo, file, revision=revision or None, etag_timeout=PATIENCE_S))
        except LocalEntryNotFoundError:  # the network is off, which says nothing about the repository
            raise
        except EntryNotFoundError:
            continue
    return None
