from pathfuse.cli import main
from pathfuse.data.check import check_cases
from tests.data.pairs import bci_names, make_flat, make_pairs, save_image, write_table


def test_a_good_folder_has_no_problems_and_is_counted(tmp_path):
    report = check_cases(make_pairs(tmp_path, train=6, test=2))
    assert report.ok
    assert (report.cases, report.patients) == (8, 8)
    assert report.classes == {
        "0": {"test": 1, "train": 2},
        "1+": {"test": 1, "train": 2},
        "2+": {"train": 1},
        "3+": {"train": 1},
    }
    assert report.modalities == {"he": 8, "ihc": 8}
    assert report.subsets == {"he+ihc": 8}
    assert "No problems." in report.lines()


def test_everything_wrong_in_a_folder_is_listed_at_once(tmp_path):
    root = make_flat(tmp_path, bci_names(5))
    (root / "IHC" / "00000_train_0.png").unlink()
    (root / "HE" / "00001_train_1+.png").write_bytes(b"")
    content = (root / "IHC" / "00002_train_2+.png").read_bytes()
    (root / "IHC" / "00002_train_2+.png").write_bytes(content[:200])
    save_image(root / "IHC" / "00003_train_3+.png", size=30)
    report = check_cases(root)
    text = "\n".join(report.problems)
    assert len(report.problems) == 4
    for told in ("00000_train_0.png (no IHC)", "0 bytes", "00002_train_2+.png is damaged", "30 x 30"):
        assert told in text
    assert report.lines()[-5:] == ["4 problems:", *report.problems]


def test_everything_wrong_in_a_table_is_listed_at_once(tmp_path):
    save_image(tmp_path / "a.png")
    save_image(tmp_path / "b.png", size=30)
    path = write_table(
        tmp_path / "cases.csv",
        "case_id,patient_id,modality,path,label,split",
        "1,p1,he,a.png,1+,train",
        "1,p1,ihc,b.png,1+,train",
        "2,p1,he,a.png,5+,test",
        "3,p3,he,gone.png,0,train",
    )
    report = check_cases(path)
    text = "\n".join(report.problems)
    assert len(report.problems) == 4
    for told in ("'5+'", "gone.png does not exist", "patient p1 is in test", "30 x 30"):
        assert told in text
    assert report.subsets == {"he": 2, "he+ihc": 1}
    assert report.modalities == {"he": 3, "ihc": 1}


def test_images_are_not_decoded_when_that_is_not_wanted(tmp_path):
    root = make_flat(tmp_path, bci_names(2))
    (root / "HE" / "00001_train_1+.png").write_bytes(b"")
    assert check_cases(root, images=False).ok
    assert not check_cases(root).ok


def test_a_folder_with_a_case_table_is_checked_by_its_table(tmp_path):
    save_image(tmp_path / "a.png")
    write_table(tmp_path / "cases.csv", "case_id,patient_id,modality,path", "1,p1,he,a.png")
    report = check_cases(tmp_path)
    assert report.ok
    assert report.classes == {"": {"": 1}}


def test_an_orphan_does_not_hide_the_groups_that_do_not_fit(tmp_path):
    root = make_flat(tmp_path / "pairs", bci_names(2))
    (root / "IHC" / "00000_train_0.png").unlink()
    groups = write_table(tmp_path / "groups.csv", "file,group", "00000_train_0.png,s1")
    text = "\n".join(check_cases(root, groups=groups).problems)
    assert "(no IHC)" in text
    assert "no row for 00001_train" in text


def test_the_hash_of_contents_changes_with_one_byte_of_one_file(cases, capsys):
    def said():
        assert main(["data", "check", str(cases), "--hash"]) == 0
        return [line for line in capsys.readouterr().out.splitlines() if "SHA-256" in line]

    before, image = said(), cases.parent / "he_000.png"
    assert len(before) == 1 and said() == before
    content = image.read_bytes()
    image.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))  # in the checksum of the last, empty chunk
    assert said() != before
    assert main(["data", "check", str(cases)]) == 0 and "SHA-256" not in capsys.readouterr().out
