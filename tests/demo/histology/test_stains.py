import numpy as np
import pytest

from pathfuse.demo import DemoCohort, PatchPictures, make_case, make_patient
from pathfuse.demo.histology.stains import DAB, HAEMATOXYLIN, Staining, vary_vector

STAINING = Staining(np.array([HAEMATOXYLIN, DAB]), np.array([1.2, 0.8]), np.array([240.0, 238.0, 244.0]), blur_um=0.3)
A, B = np.random.default_rng(0).uniform(0, 1.5, (2, 2, 9, 9)).astype(np.float32)


def test_clear_glass_is_white():
    nothing = [np.zeros((4, 4), np.float32)] * 2
    np.testing.assert_allclose(STAINING.transmit(nothing), np.broadcast_to(STAINING.white, (4, 4, 3)), rtol=1e-6)


def test_optical_densities_add():
    def density(stains):
        return -np.log(STAINING.transmit(list(stains)) / STAINING.white)

    np.testing.assert_allclose(density(A + B), density(A) + density(B), atol=1e-5)
    by_hand = 1.2 * A[0][..., None] * HAEMATOXYLIN + 0.8 * A[1][..., None] * DAB
    np.testing.assert_allclose(density(A), by_hand, atol=1e-5)


@pytest.mark.parametrize("modality", ["he", "ihc", "er"])
def test_the_colours_of_an_image_lie_in_the_plane_of_its_two_stains(modality):
    who, pictures = (
        DemoCohort(patients=4, extra_stains=("er",)),
        PatchPictures(cases_per_patient=1, size_px=96, mpp=0.5),
    )
    for index in range(4):
        staining = make_patient(who, index).stainings[modality]
        light = np.maximum(make_case(who, pictures, index).images[modality].astype(float), 1)
        density = -np.log(light / staining.white).reshape(-1, 3)
        normal = np.cross(*staining.vectors)
        off = density @ (normal / np.linalg.norm(normal))
        # What is left is sensor noise, rounding, and blur, which mixes light rather than densities.
        assert off.std() < 0.2 * np.linalg.norm(density.std(axis=0))


def test_a_varied_vector_is_a_unit_vector_near_the_first():
    rng = np.random.default_rng(0)
    varied = np.stack([vary_vector(DAB, 0.03, rng) for _ in range(200)])
    np.testing.assert_allclose(np.linalg.norm(varied, axis=1), 1)
    assert (varied @ DAB).min() > 0.98
    assert varied.std(axis=0).min() > 0.005
