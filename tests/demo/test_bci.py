import re
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from pathfuse.demo import write_bci
from pathfuse.errors import CaseTableError, RecipeError


def test_pairs_lie_as_in_bci(tmp_path):
    folder = write_bci(tmp_path / "bci", 26, size_px=64)
    names = {
        top: {path.relative_to(folder / top).as_posix() for path in (folder / top).rglob("*.png")}
        for top in ("HE", "IHC")
    }
    assert names["HE"] == names["IHC"]
    assert sorted(path.name for path in folder.iterdir()) == ["HE", "IHC"]
    parsed = [re.fullmatch(r"(train|test)/(\d{5})_(train|test)_([0123]\+?)\.png", name) for name in names["HE"]]
    assert len(parsed) == 26 and all(found and found[1] == found[3] for found in parsed)
    count = Counter((found[1], found[4]) for found in parsed)
    assert set(count) == {(split, score) for split in ("train", "test") for score in ("0", "1+", "2+", "3+")}
    for split in ("train", "test"):
        numbers = sorted(int(found[2]) for found in parsed if found[1] == split)
        assert numbers == list(range(len(numbers)))
    image = Image.open(folder / "HE" / min(names["HE"]))
    assert (image.size, image.mode) == ((64, 64), "RGB")
    assert np.asarray(image).std() > 10


def test_about_a_fifth_is_for_testing(tmp_path):
    folder = write_bci(tmp_path / "bci", 100, size_px=16)
    assert len(list((folder / "HE" / "test").iterdir())) == 20


def test_a_folder_with_content_is_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(CaseTableError, match="exists"):
        write_bci(tmp_path, 2, size_px=16)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_no_pairs_are_refused(tmp_path):
    with pytest.raises(RecipeError, match="0 pairs"):
        write_bci(tmp_path / "bci", 0)
