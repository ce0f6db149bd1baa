"""What the stains tell, and what they must not tell: figures of the demo cohort."""

import numpy as np
import pytest
from skimage.color import rgb2hed
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from pathfuse.demo import DemoCohort, PatchPictures, make_case
from pathfuse.system.progress import in_threads

WHO, PICTURES = DemoCohort(patients=320), PatchPictures(cases_per_patient=2)


@pytest.fixture(scope="module")
def cases():
    return list(in_threads(lambda index: make_case(WHO, PICTURES, index), range(640)))


def balanced_accuracy(cases, features):
    """Cross-validated by patient: no patient is on both sides."""
    level = np.array([case.patient.level for case in cases])
    model = make_pipeline(StandardScaler(), LogisticRegression(C=10.0, max_iter=2000))
    folds = StratifiedGroupKFold(5, shuffle=True, random_state=0)
    patients = [case.patient.index for case in cases]
    predicted = cross_val_predict(model, features, level, groups=patients, cv=folds)
    return balanced_accuracy_score(level, predicted)


def test_colour_and_contrast_of_h_and_e_do_not_tell_the_score(cases):
    images = [case.images["he"].reshape(-1, 3) for case in cases]
    features = np.array([np.r_[image.mean(axis=0), image.std(axis=0)] for image in images])
    assert balanced_accuracy(cases, features) <= 0.35


def test_the_nuclei_of_h_and_e_tell_more_but_not_all(cases):
    def shape(case):
        nuclei, tumour = case.truth["nuclei"], case.truth["tumour"]
        rim = (nuclei[1:] != nuclei[:-1]).sum() + (nuclei[:, 1:] != nuclei[:, :-1]).sum()
        return np.log(nuclei.sum() / rim), nuclei.sum() / tumour.sum()

    assert 0.45 <= balanced_accuracy(cases, np.array([shape(case) for case in cases])) <= 0.75


def test_the_area_of_dab_in_ihc_tells_the_score(cases):
    area = np.array([[(rgb2hed(case.images["ihc"])[..., 2] > 0.03).mean()] for case in cases])
    assert balanced_accuracy(cases, area) >= 0.8
