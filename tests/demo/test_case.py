from dataclasses import replace

import numpy as np
import pytest
from skimage.color import rgb2hed
from sklearn.metrics import roc_auc_score

from pathfuse.demo import DemoCohort, PatchPictures, make_case, make_patient

WHO = DemoCohort(patients=12)
PICTURES = PatchPictures(cases_per_patient=2, size_px=64, mpp=0.8)
CASES = 24


@pytest.fixture(scope="module")
def cases():
    return [make_case(WHO, PICTURES, index) for index in range(CASES)]


def dab(image):
    return rgb2hed(image)[..., 2]


def haematoxylin(image):
    # Eosin and DAB absorb little red light, so the red channel shows nuclei in both stains.
    return 255.0 - image[..., 0]


def correlation(one, two):
    return np.corrcoef(one.ravel(), two.ravel())[0, 1]


def test_a_case_is_the_same_alone_and_after_others(cases):
    again = make_case(WHO, PICTURES, 17)
    assert again.case_id == cases[17].case_id
    for name, image in again.images.items():
        assert image.dtype == np.uint8 and image.shape == (64, 64, 3)
        np.testing.assert_array_equal(image, cases[17].images[name])
    for name, mask in again.truth.items():
        assert mask.dtype == bool
        np.testing.assert_array_equal(mask, cases[17].truth[name])


def test_cases_have_their_own_place_and_patients_their_own_score(cases):
    assert len({case.case_id for case in cases}) == CASES
    assert not np.array_equal(cases[0].images["he"], cases[1].images["he"])
    assert cases[0].patient.patient_id == cases[1].patient.patient_id
    assert all(case.label == case.patient.score for case in cases)


def test_another_seed_makes_other_images(cases):
    assert not np.array_equal(make_case(replace(WHO, seed=1), PICTURES, 0).images["he"], cases[0].images["he"])


def test_dab_grows_with_the_score(cases):
    mean = [np.mean([dab(c.images["ihc"]).mean() for c in cases if c.patient.level == level]) for level in range(4)]
    assert mean == sorted(mean)
    stained = [np.mean([c.truth["stained"].mean() for c in cases if c.patient.level == level]) for level in range(4)]
    assert stained == sorted(stained)


def test_the_stained_mask_lies_on_dab_and_on_membranes(cases):
    for case in cases:
        stained, membrane = case.truth["stained"], case.truth["membrane"]
        assert not (stained & ~membrane).any()
        assert not (membrane & ~case.truth["tumour"]).any()
        if case.patient.level >= 2:
            assert roc_auc_score(stained.ravel(), dab(case.images["ihc"]).ravel()) > 0.9


def test_the_nuclei_mask_lies_on_haematoxylin_in_the_tumour(cases):
    for case in cases:
        nuclei, tumour = case.truth["nuclei"], case.truth["tumour"]
        assert not (nuclei & ~tumour).any()
        assert roc_auc_score(nuclei[tumour], haematoxylin(case.images["he"])[tumour]) > 0.85


def test_every_case_shows_tumour_and_something_else(cases):
    share = [case.truth["tumour"].mean() for case in cases]
    assert 0.3 < min(share) and max(share) < 1


def test_the_stains_of_a_case_fit_each_other_better_than_those_of_two_cases(cases):
    he = [haematoxylin(case.images["he"]) for case in cases]
    ihc = [haematoxylin(case.images["ihc"]) for case in cases if case.patient.level < 2]
    match = [index for index, case in enumerate(cases) if case.patient.level < 2]
    for own, image in zip(match, ihc, strict=True):
        all_he = [correlation(image, other) for other in he]
        assert int(np.argmax(all_he)) == own
        assert all_he[own] > 0.5


def test_misaligned_sections_fit_worse_and_h_and_e_stays(cases):
    moved = [make_case(WHO, replace(PICTURES, shift_px=6, rotation_deg=5), index) for index in range(0, CASES, 2)]
    for case, other in zip(cases[::2], moved, strict=True):
        np.testing.assert_array_equal(case.images["he"], other.images["he"])
        np.testing.assert_array_equal(case.truth["nuclei"], other.truth["nuclei"])
    fit = [correlation(haematoxylin(c.images["he"]), haematoxylin(c.images["ihc"])) for c in (*cases[::2], *moved)]
    assert np.mean(fit[len(moved) :]) < 0.6 * np.mean(fit[: len(moved)])


def test_the_membrane_mask_moves_with_a_misaligned_section(cases):
    for index, case in enumerate(cases):
        if case.patient.level == 3:
            moved = make_case(WHO, replace(PICTURES, shift_px=6, rotation_deg=5), index)
            assert roc_auc_score(moved.truth["stained"].ravel(), dab(moved.images["ihc"]).ravel()) > 0.9


def test_a_missing_stain_leaves_the_others_as_they_were(cases):
    who = replace(WHO, missing={"he": 0.3, "ihc": 0.5})
    lacking = [make_case(who, PICTURES, index) for index in range(CASES)]
    assert all(case.images for case in lacking)
    assert 0.2 < np.mean(["ihc" not in case.images for case in lacking]) < 0.8
    for case, full in zip(lacking, cases, strict=True):
        for name, image in case.images.items():
            np.testing.assert_array_equal(image, full.images[name])


def test_a_case_that_would_lack_everything_keeps_one_stain():
    who = replace(WHO, missing={"he": 1.0, "ihc": 1.0})
    assert {len(make_case(who, PICTURES, index).images) for index in range(6)} == {1}


def test_a_third_stain_marks_nuclei_and_leaves_the_others_as_they_were(cases):
    who = replace(WHO, extra_stains=("ki67", "er"))
    for index in range(0, CASES, 2):
        case = make_case(who, PICTURES, index)
        assert list(case.images) == ["he", "ihc", "ki67", "er"]
        for name, image in cases[index].images.items():
            np.testing.assert_array_equal(case.images[name], image)
        nuclei = case.truth["nuclei"]
        # The H&E truth serves: these sections are aligned.
        brown = dab(case.images["ki67"])
        if case.patient.markers["ki67"] > 0.15:
            assert brown[nuclei].mean() > brown[~nuclei].mean()
    assert not np.array_equal(case.images["ki67"], case.images["er"])


def test_sites_without_an_effect_change_nothing_and_with_one_only_colours(cases):
    plain = make_case(replace(WHO, sites=3), PICTURES, 4)
    np.testing.assert_array_equal(plain.images["he"], cases[4].images["he"])
    shifted = make_case(replace(WHO, sites=3, site_effect=1.0), PICTURES, 4)
    assert np.abs(shifted.images["he"].astype(int) - plain.images["he"]).mean() > 2
    for name, mask in shifted.truth.items():
        np.testing.assert_array_equal(mask, plain.truth[name])


def test_patients_of_one_site_look_more_alike_than_those_of_two():
    who = DemoCohort(patients=80, sites=3, site_effect=1.0)
    patients = [make_patient(who, index) for index in range(80)]
    assert {patient.site for patient in patients} == {"S1", "S2", "S3"}
    colour = {s: [np.log(p.stainings["he"].strengths[0]) for p in patients if p.site == s] for s in ("S1", "S2", "S3")}
    between = np.std([np.mean(values) for values in colour.values()])
    # Means of about 27 patients would differ by a fifth of the patients' own spread.
    assert between > 0.4 * np.mean([np.std(values) for values in colour.values()])


def test_another_magnification_shows_the_same_patient():
    near = make_case(WHO, replace(PICTURES, size_px=128, mpp=0.4), 3)
    far = make_case(WHO, PICTURES, 3)
    small = near.images["he"].reshape(64, 2, 64, 2, 3).mean(axis=(1, 3))
    assert correlation(small[..., 0], far.images["he"][..., 0]) > 0.9
