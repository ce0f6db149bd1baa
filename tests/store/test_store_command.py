"""`pathfuse store` from the command line."""

import csv

import h5py
import numpy as np
import pytest

from pathfuse.cli.store import store
from pathfuse.cli.store_verbs import grouped
from pathfuse.errors import PathfuseError, RecipeError, StoreError
from pathfuse.store import open_slide
from pathfuse.store.check import Finding
from tests.store import foreign


def table(path, rows):
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["case_id", "patient_id", "modality", "path", "label", "split", "mpp"], *rows])
    return str(path)


@pytest.fixture
def folder(tmp_path):
    for number in range(3):
        foreign.trident(tmp_path / "he" / f"s{number}.h5", foreign.features(12, 4, number), foreign.grid(12))
        foreign.stamp(tmp_path / "ihc" / f"s{number}.h5", foreign.features(9, 6, number), foreign.grid(9) * foreign.MPP)
    return tmp_path


def test_help_names_all_verbs(capsys):
    assert store(["--help"]) == 0 and store([]) == 0
    out = capsys.readouterr().out
    assert all(verb in out for verb in ("inspect", "check", "repack", "convert"))


def test_inspect_says_what_a_file_is(folder, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert store(["inspect", str(folder / "he"), str(folder / "ihc" / "s0.h5")]) == 0
    out = capsys.readouterr().out
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert len(lines) == 5 and max(map(len, out.splitlines())) <= 80
    assert lines[1] == "s0.h5 trident 12 4 f2 chunks 1x4 px 512 px ? uni_v1"
    assert lines[4].startswith("s0.h5 stamp 9 6 ") and "contiguous µm 128 µm ?" in lines[4]


def test_inspect_breaks_no_line_and_no_name(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    name = "TCGA-00-0000-01Z-00-DX1.00000000-0000-0000-0000-000000000000"
    foreign.trident(tmp_path / f"{name}.h5", foreign.features(12, 4, 0), foreign.grid(12))
    assert store(["inspect", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 and f"{name}.h5" in lines[1] and lines[1].rstrip().endswith("uni_v1")


def test_inspect_goes_on_after_a_bad_file(folder, capsys):
    (folder / "he" / "s1.h5").write_bytes(b"no")
    assert store(["inspect", str(folder / "he")]) == 1
    captured = capsys.readouterr()
    assert "s1.h5" in captured.err and "s2.h5" in captured.out


def test_check_of_a_sound_cohort_is_0_and_counts_what_it_read(folder, capsys):
    rows = [[f"c{n}", f"p{n}", m, f"{m}/s{n}.h5", "0", "train", 0.25] for n in range(3) for m in ("he", "ihc")]
    assert store(["check", table(folder / "cases.csv", rows)]) == 0
    assert "6 files read: 0 errors, 0 warnings" in capsys.readouterr().out


def test_check_names_every_planted_defect(folder, capsys):
    he = folder / "he"
    foreign.trident(he / "units.h5", foreign.features(12, 4), foreign.grid(12) // 2)
    overflow = foreign.features(12, 4)
    overflow[3, 3] = np.inf
    foreign.trident(he / "overflow.h5", overflow, foreign.grid(12))
    twice = foreign.grid(12)
    twice[4] = twice[5]
    foreign.trident(he / "twice.h5", foreign.features(12, 4), twice)
    foreign.trident(he / "empty.h5", foreign.features(0, 4), foreign.grid(0))
    foreign.trident(he / "encoder.h5", foreign.features(12, 4), foreign.grid(12), encoder="conch_v1")
    foreign.trident(he / "lengths.h5", foreign.features(12, 4), foreign.grid(11))
    names = ["s0", "units", "overflow", "twice", "empty", "encoder", "lengths", "vanished"]
    rows = [[n, n, "he", f"he/{n}.h5", "0", "train", "" if n == "s0" else 0.25] for n in names]
    rows += [["s0", "s0", "ihc", "ihc/s0.h5", "0", "train", 0.25]]
    foreign.stamp(folder / "ihc" / "s0.h5", foreign.features(9, 6), foreign.grid(9) * 0.25, extractor="virchow2")
    assert store(["check", table(folder / "cases.csv", rows)]) == 1
    lines = capsys.readouterr().out.splitlines()
    for where, said in {
        "units.h5": "wrong unit",
        "overflow.h5": "float16 overflowed",
        "twice.h5": "duplicate",
        "empty.h5": "empty slide",
        "lengths.h5": "12 rows of features, but 11 of coordinates",
        "vanished.h5": "does not exist",
        "s0.h5": "no mpp",
        "he:": "conch_v1 in 1 slides",
    }.items():
        assert any(where in line and said in line for line in lines), (where, said)
    assert any("he: encoder conch_v1, uni_v1, but ihc virchow2" in line for line in lines)


def test_check_compares_the_mpp_of_table_and_file(folder, capsys):
    assert store(["convert", str(folder / "he"), "--to", "trident", "--out", str(folder / "own"), "--mpp", "0.25"]) == 0
    rows = [["a", "a", "he", "own/s0.h5", "0", "train", 0.5], ["b", "b", "he", "own/s1.h5", "0", "train", 0.2504]]
    assert store(["check", table(folder / "cases.csv", rows)]) == 1
    lines = [line for line in capsys.readouterr().out.splitlines() if "the table says" in line]
    assert len(lines) == 1 and "s0.h5: the table says mpp 0.5, the file 0.25" in lines[0]


def test_check_of_folders_and_labels_names_slides_without_features(folder, capsys):
    labels = folder / "labels.csv"
    labels.write_text("case_id,label\ns0,0\ns1,1\nlost,1\n", encoding="utf-8")
    words = ["check", f"he={folder / 'he'}", f"ihc={folder / 'ihc'}"]
    assert store([*words, "--labels_table", str(labels)]) == 1
    assert "1 slides of labels.csv have no features: lost" in capsys.readouterr().out
    assert store(words) == 0
    assert "6 files read: 0 errors" in capsys.readouterr().out


def test_check_of_folders_leaves_none_of_the_words_out(folder, tmp_path_factory, capsys):
    other = tmp_path_factory.mktemp("other") / "he"
    foreign.trident(other / "s0.h5", foreign.features(12, 4, 0), foreign.grid(12))
    for words in ([str(folder / "he"), str(other)], [f"he={folder / 'he'}", f"he={other}"]):
        with pytest.raises(RecipeError, match="STAIN=FOLDER for every stain, each stain once"):
            store(["check", *words])
    with pytest.raises(RecipeError, match="STAIN=FOLDER for every stain"):
        store(["check", f"he={folder / 'he'}", "cases.csv"])
    assert store(["check", str(folder / "he"), f"ihc={folder / 'ihc'}"]) == 0
    assert "6 files read" in capsys.readouterr().out


def test_repack_into_a_folder_and_in_place(folder, capsys):
    assert store(["repack", str(folder / "he"), "--out", str(folder / "fast")]) == 0
    assert store(["repack", str(folder / "he" / "s0.h5"), "--overwrite"]) == 0
    assert "3 files repacked, 0 failed" in capsys.readouterr().out
    for path in (folder / "fast" / "s2.h5", folder / "he" / "s0.h5"):
        with h5py.File(path) as file:
            assert file["features"].chunks is None
    with pytest.raises(RecipeError, match="--out DIR"):
        store(["repack", str(folder / "he")])


def test_repack_reports_what_failed_and_goes_on(folder, capsys):
    path = folder / "he" / "s1.h5"
    path.write_bytes(path.read_bytes()[:900])
    assert store(["repack", str(folder / "he"), "--out", str(folder / "fast")]) == 1
    captured = capsys.readouterr()
    assert "s1.h5" in captured.err and "2 files repacked, 1 failed" in captured.out
    assert sorted(file.name for file in (folder / "fast").iterdir()) == ["s0.h5", "s2.h5"]


def test_convert_to_stamp_and_back_keeps_every_number(folder):
    stamp, back = folder / "stamp", folder / "back"
    assert store(["convert", str(folder / "he"), "--to", "stamp", "--out", str(stamp), "--mpp", "0.25"]) == 0
    assert store(["convert", str(stamp), "--to", "trident", "--out", str(back), "--mpp", "0.25"]) == 0
    for number in range(3):
        one, two = open_slide(folder / "he" / f"s{number}.h5"), open_slide(back / f"s{number}.h5")
        assert one.features.read().equal(two.features.read()) and one.level0_coords().equal(two.level0_coords())
        assert one.patch_size_level0 == two.patch_size_level0 and one.encoder == two.encoder and two.mpp == 0.25


def test_convert_without_a_fact_names_it_and_fails(folder, capsys):
    assert store(["convert", str(folder / "he"), "--to", "stamp", "--out", str(folder / "out")]) == 1
    captured = capsys.readouterr()
    assert "has no mpp" in captured.err and "0 slides written" in captured.out


def test_convert_to_eva_writes_the_manifest_last(folder):
    rows = [[f"c{n}", f"p{n}", "he", f"he/s{n}.h5", ("0", "1", "1")[n], "train", ""] for n in range(3)]
    cases, out = table(folder / "cases.csv", rows), folder / "eva"
    with pytest.raises(RecipeError, match="--cases"):
        store(["convert", str(folder / "he"), "--to", "eva", "--out", str(out)])
    assert store(["convert", str(folder / "he"), "--to", "eva", "--out", str(out), "--cases", cases]) == 0
    with (out / "manifest.csv").open(newline="") as file:
        manifest = list(csv.DictReader(file))
    assert [(row["embeddings"], row["target"], row["split"]) for row in manifest] == [
        ("s0.pt", "0", "train"), ("s1.pt", "1", "train"), ("s2.pt", "1", "train"),
    ]  # fmt: skip
    with pytest.raises(StoreError, match="is not empty"):
        store(["convert", str(folder / "he"), "--to", "eva", "--out", str(out), "--cases", cases])


def test_eva_reads_the_converted_folder(folder):
    reason = "eva (kaiko-eva) is not installed: a peer of the size of a framework, with pins of its own"
    peer = pytest.importorskip("eva.core.data.datasets.classification.multi_embeddings", reason=reason)
    rows = [[f"c{n}", f"p{n}", "he", f"he/s{n}.h5", ("0", "1", "1")[n], "train", ""] for n in range(3)]
    cases, out = table(folder / "cases.csv", rows), folder / "eva"
    assert store(["convert", str(folder / "he"), "--to", "eva", "--out", str(out), "--cases", cases]) == 0
    data = peer.MultiEmbeddingsClassificationDataset(root=str(out), manifest_file="manifest.csv", split="train")
    data.setup()
    assert len(data) == 3 and [int(data.load_target(index)) for index in range(3)] == [0, 1, 1]
    for index in range(3):
        with h5py.File(folder / "he" / f"s{index}.h5") as file:
            assert np.array_equal(data.load_embeddings(index).numpy(), file["features"][:])


@pytest.mark.parametrize(
    "words",
    [
        ["inspect"],
        ["inspect", "/not/there"],
        ["look", "x"],
        ["convert", ".", "--to", "zarr", "--out", "x"],
        ["convert", ".", "--to", "clam", "--out", "x", "--mpp", "fast"],
        ["check"],
        ["check", "/not/there.csv"],
        ["inspect", ".", "--what", "x"],
    ],
)
def test_a_wrong_line_is_one_line(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    foreign.trident(tmp_path / "a.h5", foreign.features(3, 2), foreign.grid(3))
    with pytest.raises(PathfuseError) as caught:
        store(words)
    assert "\n" not in str(caught.value)


def test_equal_findings_of_many_files_are_one_line_with_their_number():
    findings = [Finding("warning", f"{k}.h5", "no mpp") for k in range(176)] + [
        Finding("error", "7.h5", "3 patches have NaN")
    ]
    assert grouped(findings) == ["warning: 176 files, first 0.h5: no mpp", "error: 7.h5: 3 patches have NaN"]
