import numpy as np
from PIL import Image

from pathfuse.demo import DemoCohort, PatchPictures, make_case
from pathfuse.demo.figure import pairs_figure


def test_the_figure_shows_one_pair_per_score(tmp_path):
    sheet = np.asarray(Image.open(pairs_figure(tmp_path / "pairs.png", size_px=48)))
    who, pictures = DemoCohort(patients=4), PatchPictures(cases_per_patient=1, size_px=48, mpp=0.5)
    for case in (make_case(who, pictures, index) for index in range(4)):
        left = 44 + case.patient.level * 54
        np.testing.assert_array_equal(sheet[24:72, left : left + 48], case.images["he"])
        np.testing.assert_array_equal(sheet[78:126, left : left + 48], case.images["ihc"])
