"""A pair of large pyramids registered, and pairs cut from it: `python -m benchmarks.bench_register`.

Two pyramids of JPEG tiles are written that show serial sections of the demo cohort, drawn at 3000 px and enlarged:
their nests and cells are larger than real ones. Registration is timed once, in a process of its own whose peak of
memory the kernel tells; it never reads level 0. Cutting is timed against reading the two patches alone, at the same
places, without a map.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.measure.aims import Outcome, note
from benchmarks.measure.harness import compare, options
from benchmarks.measure.jpeg_pyramid import jpeg, write_jpeg_pyramid
from benchmarks.measure.machine import machine
from pathfuse.demo import DemoCohort, SerialPictures
from pathfuse.demo.serial.sections import SerialPair
from pathfuse.pairs.cut import cut_moved
from pathfuse.register.files.record import read_record, record_folders

MPP, DRAWN_PX, DRAWN_MPP, TILE = 0.25, 3000, 2.0, 512
GLASS = 225  # grey level that every sample of an empty tile is above
PATCH_PX, PATCH_MPP, PATCHES = 1024, 0.46, 12
CHILD = """
import resource, sys, time
from benchmarks.measure.footprint import resident_mb
from pathfuse.cli import main
start = time.perf_counter()
code = main(["register", *sys.argv[1:]])
own = resource.getrusage(resource.RUSAGE_SELF)
busy = own.ru_utime + own.ru_stime
# Not ru_maxrss: that of a new process begins with what its parent had.
print(f"RESULT {code} {time.perf_counter() - start:.1f} {busy:.1f} {resident_mb('VmHWM') / 1024:.2f}")
"""
AIMS = {"s": 60.0, "GiB": 2.0}


def main() -> None:
    parser = options(__doc__ or "")
    parser.add_argument("--keep", type=Path, help="folder of the slides, used again if they are there")
    parser.add_argument("--edge", type=int, default=60_000, help="edge of the slides in pixels at 0.25 um")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        kept = given.keep or root
        paths = [kept / f"{stain}.tif" for stain in ("he", "ihc")]
        if not all(path.exists() for path in paths):
            paths = slides(kept, given.edge)
        register(root, paths)
        cutting(root / "out", given.rounds, given.markdown)


def slides(folder: Path, edge: int) -> list[Path]:
    """H&E and IHC as pyramids."""
    pictures = SerialPictures(slide_px=min(DRAWN_PX, edge), mpp=DRAWN_MPP)
    pair = SerialPair(DemoCohort(patients=1), pictures, 0)
    paths = []
    for stain in ("he", "ihc"):
        paths.append(folder / f"{stain}.tif")
        start = time.perf_counter()
        write_pyramid(paths[-1], pair.image(stain), edge)
        print(f"{paths[-1].name}: {edge} x {edge} px written in {time.perf_counter() - start:.0f} s", flush=True)
    return paths


def write_pyramid(path: Path, drawn: np.ndarray, edge: int) -> None:
    """A pyramid of JPEG tiles of a drawing, enlarged or reduced, tile by tile."""
    picture = Image.fromarray(drawn)
    empty: dict[int, bytes] = {}  # glass is compressed once: most of a slide is

    def tiles(size: int) -> Iterator[bytes]:
        scale = picture.width / size
        for top in range(0, size, TILE):
            for left in range(0, size, TILE):
                box = (left * scale, top * scale, (left + TILE) * scale, (top + TILE) * scale)
                inside = (*box[:2], min(box[2], picture.width), min(box[3], picture.height))
                full = box[2] <= picture.width and box[3] <= picture.height
                shape = tuple(max(1, round((inside[i + 2] - inside[i]) / scale)) for i in (0, 1))
                small = drawn[int(box[1]) : int(box[3]) + 1 : 8, int(box[0]) : int(box[2]) + 1 : 8]
                if full and small.min() > GLASS:
                    if size not in empty:
                        empty[size] = tile(inside, shape)
                    yield empty[size]
                else:
                    yield tile(inside, shape)

    def tile(inside: tuple[float, ...], shape: tuple[int, ...]) -> bytes:
        whole = Image.new("RGB", (TILE, TILE), "white")
        whole.paste(picture.resize((shape[0], shape[1]), Image.Resampling.BILINEAR, box=inside))
        return jpeg(whole, halved=False)

    write_jpeg_pyramid(path, edge, MPP, tiles, tile=TILE, halved=False)


def register(root: Path, paths: list[Path]) -> None:
    words = [*map(str, paths), "--out", str(root / "out")]
    done = subprocess.run([sys.executable, "-c", CHILD, *words], capture_output=True, text=True)
    found = [line for line in done.stdout.splitlines() if line.startswith("RESULT")]
    if not found:
        raise SystemExit(done.stderr)
    code, seconds, busy, peak = found[0].split()[1:]
    print(f"registered in {seconds} s ({busy} s of one core) with a peak of {peak} GiB, exit status {code}")
    print(machine(), flush=True)
    for (unit, most), reached in zip(AIMS.items(), (seconds, peak), strict=True):
        note(Outcome("registration", f"at most {most:g} {unit}", f"{reached} {unit}", float(reached) <= most))


def cutting(out: Path, rounds: int, markdown: Path | None) -> None:
    """Pairs cut by the map, beside reading the same number of pixels of both slides at the same places."""
    record = read_record(record_folders(out)[0])
    width, height = (edge * record.fixed.mpp for edge in (record.fixed.width, record.fixed.height))
    span = PATCH_PX * PATCH_MPP
    steps = np.random.default_rng(0).uniform(0.3, 0.6, (PATCHES, 2)) * (width - span, height - span)
    corners = [(float(x), float(y)) for x, y in steps]

    def both(mapped: bool) -> int:
        with record.fixed.open() as fixed, record.moving.open() as moving:
            for x, y in corners:
                fixed.read(x / fixed.mpp, y / fixed.mpp, span / fixed.mpp, PATCH_PX)
                if mapped:
                    cut_moved(moving, record.transform, (x, y), PATCH_PX, PATCH_MPP)
                else:
                    moving.read(x / moving.mpp, y / moving.mpp, span / moving.mpp, PATCH_PX)
        return len(corners)

    variants = {"read both": lambda: both(False), "pathfuse pairs": lambda: both(True)}
    title = f"Pairs of {PATCH_PX} px at {PATCH_MPP} um"
    compare(title, variants, baseline="read both", rounds=rounds, items=PATCHES, markdown=markdown)


if __name__ == "__main__":
    main()
