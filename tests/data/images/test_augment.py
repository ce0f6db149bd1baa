import pytest
import torch
from torch.testing import assert_close

from pathfuse.data.images.augment import Augment, Augmenter
from pathfuse.errors import RecipeError

OFF = {"rotation": 0, "flips": False, "intensity": 0, "contrast": 0}
EVERYTHING = Augment(smooth=0.5, gamma=0.5, sharpen=0.5, crop=0.8)


def images(stains: int = 2, size: int = 16) -> torch.Tensor:
    return torch.rand(stains, 3, size, size, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("options", [Augment(), EVERYTHING], ids=["paper", "everything"])
def test_a_draw_is_decided_by_seed_epoch_and_case(options):
    augment = Augmenter(options, 16, seed=3)
    first = augment(images(), epoch=1, index=5)
    torch.manual_seed(99)
    assert_close(augment(images(), epoch=1, index=5), first, rtol=0, atol=0)
    for other in (
        augment(images(), epoch=2, index=5),
        augment(images(), epoch=1, index=6),
        Augmenter(options, 16, seed=4)(images(), epoch=1, index=5),
    ):
        assert not torch.equal(other, first)


def test_the_global_generator_is_left_alone():
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    Augmenter(EVERYTHING, 16, seed=0)(images(), 0, 0)
    assert_close(torch.rand(3), expected, rtol=0, atol=0)


@pytest.mark.parametrize("epoch", range(8))
def test_all_stains_of_a_case_get_the_same_change(epoch):
    one = images(1)
    both = Augmenter(EVERYTHING, 16, seed=0)(one.repeat(2, 1, 1, 1), epoch, 0)
    alone = Augmenter(EVERYTHING, 16, seed=0)(one.clone(), epoch, 0)
    assert_close(both[0], both[1])
    assert_close(both[:1], alone)


def test_quarter_turns_give_all_four():
    augment = Augmenter(Augment(**{**OFF, "quarter_turns": True}), 16, seed=0)
    picture = images(2)
    turned = [picture.rot90(turns, (2, 3)) for turns in range(4)]
    found = [next(i for i, t in enumerate(turned) if torch.equal(augment(picture.clone(), 0, c), t)) for c in range(40)]
    assert set(found) == {0, 1, 2, 3}


def test_flips_only_move_pixels():
    augment = Augmenter(Augment(**{**OFF, "flips": True}), 16, seed=0)
    picture = images(1)
    seen = set()
    for case in range(40):
        got = augment(picture.clone(), 0, case)
        seen |= {
            name
            for name, dims in {"none": [], "x": [3], "y": [2], "xy": [2, 3]}.items()
            if torch.equal(got, picture.flip(dims))
        }
    assert seen == {"none", "x", "y", "xy"}


def test_what_turns_in_from_outside_is_white():
    augment = Augmenter(Augment(**{**OFF, "rotation": 180}), 16, seed=0)
    corners = [augment(torch.zeros(1, 3, 16, 16), 0, case)[0, 0, 0, 0] for case in range(10)]
    assert max(corners) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"rotation": 30},
        {"intensity": 0.3},
        {"contrast": 0.3},
        {"smooth": 1},
        {"gamma": 1},
        {"sharpen": 1},
        {"crop": 0.5},
    ],
    ids=str,
)
def test_every_option_changes_the_picture_and_keeps_its_size_and_range(change):
    got = Augmenter(Augment(**{**OFF, **change}), 16, seed=0)(images(), 0, 1)
    assert type(got) is torch.Tensor
    assert got.shape == (2, 3, 16, 16)
    assert got.dtype == torch.float32
    assert 0 <= got.min()
    assert got.max() <= 1
    assert not torch.allclose(got, images())


def test_nothing_is_changed_when_all_is_off():
    assert_close(Augmenter(Augment(**OFF), 16, seed=0)(images(), 0, 0), images(), rtol=0, atol=0)


def test_intensity_scales_all_pixels_alike():
    picture = images(1) * 0.5
    got = Augmenter(Augment(**{**OFF, "intensity": 0.5}), 16, seed=0)(picture.clone(), 0, 0)
    factor = got / picture
    assert_close(factor, torch.full_like(factor, factor.mean().item()))
    assert 0.5 <= factor.mean() <= 1.5


def test_the_three_released_changes_come_independently():
    augment = Augmenter(Augment(**OFF, smooth=0.5, sharpen=0.5), 16, seed=0)
    smooth = Augmenter(Augment(**OFF, smooth=0.5), 16, seed=0)
    both = blurred = 0
    for case in range(60):
        softer = not torch.equal(smooth(images(1), 0, case), images(1))
        blurred += softer
        both += softer and not torch.allclose(augment(images(1), 0, case), smooth(images(1), 0, case))
    assert 15 < blurred < 45
    assert 0.2 * blurred < both < 0.8 * blurred


@pytest.mark.parametrize(("name", "value"), [("rotation", 200), ("crop", 0), ("gamma", 2), ("intensity", -1)])
def test_options_out_of_range_are_refused_by_name(name, value):
    with pytest.raises(RecipeError, match=f"augment.{name}"):
        Augment(**{name: value})


def test_a_turned_image_has_no_dark_rim() -> None:
    turned = Augmenter(Augment(flips=False, intensity=0, contrast=0), 64, 0)
    for index in range(8):
        image = turned(torch.full((1, 3, 64, 64), 0.9), 0, index)
        assert float(image.min()) > 0.89 and float(image.max()) > 0.99
