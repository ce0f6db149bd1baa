import pytest

from pathfuse.errors import RecipeError, RunError
from pathfuse.extract.ray.share import Share, share_out

CPUS = {"CPU": 8.0}
GPUS = {"CPU": 16.0, "GPU": 2.0}


@pytest.mark.parametrize(
    ("machines", "options", "wanted"),
    [
        ([CPUS, CPUS], {}, Share(encoders=2, gpus=0, readers=1, threads=8)),
        ([CPUS, GPUS], {}, Share(encoders=2, gpus=1, readers=12, threads=12)),
        ([CPUS, GPUS], {"gpus": 0.5}, Share(encoders=4, gpus=0.5, readers=6, threads=6)),
        ([GPUS], {"gpus": 0.1}, Share(encoders=20, gpus=0.1, readers=1, threads=1)),
        ([GPUS, GPUS], {"gpus": 0.4}, Share(encoders=8, gpus=0.4, readers=4, threads=4)),  # two fit a GPU, not 2.5
        ([GPUS], {"device": "cpu"}, Share(encoders=1, gpus=0, readers=1, threads=16)),
        ([CPUS], {"encoders": 3, "readers": 0}, Share(encoders=3, gpus=0, readers=1, threads=2)),
        ([{"CPU": 1.0}], {"encoders": 4}, Share(encoders=4, gpus=0, readers=1, threads=1)),
        ([CPUS], {"encoders": 2, "gpus": 1.0}, Share(encoders=2, gpus=1, readers=4, threads=4)),  # GPUs are to come
    ],
)
def test_a_cluster_is_shared_out(machines: list[dict[str, float]], options: dict[str, float], wanted: Share) -> None:
    assert share_out(machines, **options) == wanted


@pytest.mark.parametrize(
    ("machines", "options", "reason"),
    [
        ([CPUS], {"gpus": 0.5}, "this Ray cluster has no GPU. Give --encoders N"),
        ([CPUS], {"device": "cuda"}, "this Ray cluster has no GPU"),
        ([{"GPU": 1.0}], {"device": "cpu"}, "this Ray cluster has no core"),
        ([], {}, "this Ray cluster has no core"),
    ],
)
def test_a_cluster_without_room_is_one_line(
    machines: list[dict[str, float]], options: dict[str, object], reason: str
) -> None:
    with pytest.raises(RunError, match=reason):
        share_out(machines, **options)


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"encoders": 0}, "--encoders 0"),
        ({"gpus": 1.5}, r"--gpus-per-encoder 1\.5: a share of one GPU"),
        ({"gpus": -1.0}, "--gpus-per-encoder -1"),
        ({"device": "cuda:1"}, "--device cuda:1: on Ray write auto, cpu or cuda"),
        ({"device": "cpu", "gpus": 0.5}, "leave out one of them"),
        ({"device": "cuda", "gpus": 0.0}, "leave out one of them"),
    ],
)
def test_numbers_that_make_no_sense_are_refused(options: dict[str, object], reason: str) -> None:
    with pytest.raises(RecipeError, match=reason):
        share_out([GPUS], **options)


def test_a_person_is_told_what_the_encoders_have() -> None:
    assert str(Share(1, 0.5, 6, 1)) == "1 encoder on Ray, each with 0.5 GPU and 6 reading for it at a time."
    assert str(Share(4, 0, 1, 1)).startswith("4 encoders on Ray, each with the CPU")
