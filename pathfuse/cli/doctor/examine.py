"""The state of an installation: versions, extras, OpenSlide, GPU, folders that are written to, plug-ins."""

from __future__ import annotations

import json
import os
import platform
import tempfile
import warnings
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Literal, NamedTuple

State = Literal["ok", "note", "problem"]
# Extras that a user may want, and what each of them brings; all others are for developers.
BRINGS = {
    "ray": "extraction and studies on the machines of a Ray cluster",
    "register": "registration of H&E with IHC, rigid, affine and bent, by SimpleITK",
    "torchmil": "ABMIL, CLAM, DSMIL, DTFDMIL and TransMIL as fusion blocks",
    "transformers": "the encoders phikon, phikon_v2, midnight_12k and plip",
    "excel": "tables of cases as .xlsx",
    "wsi": "slides in SVS, NDPI, MRXS, DICOM and the other formats of OpenSlide",
}


class Finding(NamedTuple):
    """One line of the examination.

    Attributes:
        about: what it belongs to, such as `packages`.
        state: `problem` is something that fails when it is used; `note` something that could be there and is not.
        what: the thing.
        said: its version, place or trouble, and the next step.
    """

    about: str
    state: State
    what: str
    said: str


def examine() -> list[Finding]:
    """Looks at everything; installs, downloads and leaves behind nothing."""
    return [*_packages(), *_extras(), *_openslide(), *_devices(), *_folders(), *_plugins()]


def as_json(findings: list[Finding]) -> str:
    """The findings for programs."""
    return json.dumps([finding._asdict() for finding in findings], indent=2, ensure_ascii=False)


def _packages() -> Iterator[Finding]:
    yield Finding("packages", "ok", "Python", f"{platform.python_version()} on {platform.platform()}")
    yield Finding("packages", "ok", "pathfuse", version("pathfuse"))
    for name, wanted in _required(None):
        yield _package("packages", name, wanted, "problem")


def _extras() -> Iterator[Finding]:
    for extra, brings in BRINGS.items():
        found = [_package(extra, name, wanted, "note") for name, wanted in _required(extra)]
        lacking = [finding for finding in found if finding.state != "ok"]
        if not lacking:
            yield Finding("extras", "ok", extra, ", ".join(f"{f.what} {f.said}" for f in found))
        elif len(lacking) == len(found):
            yield Finding(
                "extras", "note", extra, f"is not installed. pip install 'pathfuse[{extra}]' brings {brings}."
            )
        else:
            yield Finding("extras", "problem", extra, " ".join(f"{f.what} {f.said}" for f in lacking))


def _required(extra: str | None) -> Iterator[tuple[str, str]]:
    """Name and range of what pathfuse, or one of its extras, asks for on this machine."""
    from packaging.requirements import Requirement

    for line in requires("pathfuse") or ():
        requirement = Requirement(line)
        marker = requirement.marker
        if extra is None and (marker is None or marker.evaluate({"extra": ""})):
            yield requirement.name, str(requirement.specifier)
        elif extra is not None and marker is not None and marker.evaluate({"extra": extra}):
            if not marker.evaluate({"extra": ""}):
                yield requirement.name, str(requirement.specifier)


def _package(about: str, name: str, wanted: str, missing: State) -> Finding:
    from packaging.specifiers import SpecifierSet

    try:
        found = version(name)
    except PackageNotFoundError:
        return Finding(about, missing, name, f"is not installed. pip install '{name}{wanted}' brings it.")
    if not SpecifierSet(wanted).contains(found, prereleases=True):
        return Finding(about, "problem", name, f"{found} is not in {wanted}. pip install '{name}{wanted}' changes it.")
    return Finding(about, "ok", name, found)


def _openslide() -> Iterator[Finding]:
    try:
        version("openslide-python")
    except PackageNotFoundError:
        return  # among the extras
    try:
        import openslide
    except (ImportError, OSError) as error:  # the library behind the package is not there
        reason = str(error).strip().splitlines()[0]
        yield Finding(
            "slides", "problem", "OpenSlide", f"cannot be loaded ({reason}). pip install openslide-bin brings it."
        )
        return
    yield Finding("slides", "ok", "OpenSlide", str(openslide.__library_version__))


def _devices() -> Iterator[Finding]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    yield Finding("devices", "ok", "CPU", f"{cores} cores")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            import torch
        except (ImportError, OSError) as error:
            reason = str(error).strip().splitlines()[0]
            yield Finding("devices", "problem", "torch", f"cannot be imported ({reason}). Install it again.")
            return
        there = torch.cuda.is_available()
    built = f"torch is built for CUDA {torch.version.cuda}" if torch.version.cuda else "torch is built without CUDA"
    for number in range(torch.cuda.device_count() if there else 0):
        gpu = torch.cuda.get_device_properties(number)
        yield Finding("devices", "ok", f"GPU {number}", f"{gpu.name}, {gpu.total_memory / 2**30:.0f} GiB; {built}")
    if not there:
        reason = "; ".join(str(warning.message).splitlines()[0] for warning in caught if "CUDA" in str(warning.message))
        yield Finding("devices", "note", "GPU", f"none is seen; everything runs on the CPU. {reason or built}.")


def _folders() -> Iterator[Finding]:
    from huggingface_hub import constants

    from pathfuse.system.cache_folder import default_cache

    places = {"working folder": Path.cwd(), "cache": default_cache(), "cache of the hub": Path(constants.HF_HUB_CACHE)}
    for what, folder in places.items():
        reason = _unwritable(folder)
        if reason:
            yield Finding("folders", "problem", what, f"{folder} cannot be written to ({reason}). Change its rights.")
        else:
            yield Finding("folders", "ok", what, str(folder))


def _unwritable(folder: Path) -> str:
    """Why no file can be made in a folder, or in the nearest of its parents that is there; empty if one can."""
    there = next(place for place in (folder, *folder.parents) if place.exists())
    try:
        with tempfile.NamedTemporaryFile(dir=there):
            return ""
    except OSError as error:
        return error.strerror or str(error)


def _plugins() -> Iterator[Finding]:
    from pathfuse.registry import components
    from pathfuse.registry.faults.troubles import troubles
    from pathfuse.registry.metadata import facts_of

    known, found = list(components()), troubles()
    for owner, line in found:
        yield Finding("plug-ins", "problem", owner, line)
    for distribution in sorted({component.distribution for component in known} - {owner for owner, _ in found}):
        release = "of this session" if distribution == "this session" else facts_of(distribution).version
        count = sum(component.distribution == distribution for component in known)
        yield Finding("plug-ins", "ok", distribution, f"{release}, {count} components")
