from itertools import pairwise

from torch.utils.data import DistributedSampler

from pathfuse.data.loading.sampler import EpochSampler

CASES = list(range(10))


def order(**options) -> list[tuple[int, int]]:
    return list(EpochSampler(CASES, **{"seed": 0, "shuffle": True, **options}))


def test_every_case_comes_once_in_an_order_that_seed_and_epoch_decide():
    first, again, later, other = order(), order(), order(epoch=lambda: 1), order(seed=1)
    assert first == again
    assert sorted(position for _, position in first) == CASES
    assert [position for _, position in first] != [position for _, position in later]
    assert [position for _, position in first] != [position for _, position in other]
    assert {epoch for epoch, _ in later} == {1}


def test_without_shuffling_the_order_is_that_of_the_table():
    assert order(shuffle=False) == [(0, position) for position in CASES]


def test_the_epoch_is_asked_when_an_iterator_starts():
    now = [0]
    sampler = EpochSampler(CASES, seed=0, shuffle=True, epoch=lambda: now[0])
    iterator = iter(sampler)
    now[0] = 4
    assert next(iterator)[0] == 4
    sampler.set_epoch(9)
    assert next(iter(sampler))[0] == 4


def test_without_anybody_to_ask_set_epoch_counts():
    sampler = EpochSampler(CASES, seed=0, shuffle=True)
    sampler.set_epoch(3)
    assert list(sampler) == order(epoch=lambda: 3)


def test_ranks_share_the_cases_in_equal_parts():
    shares = [order(ranks=3, rank=rank) for rank in range(3)]
    assert {len(share) for share in shares} == {4}
    assert {position for share in shares for _, position in share} == set(CASES)
    assert all(set(one) != set(two) for one, two in pairwise(shares))


def test_lightning_leaves_it_alone_because_it_is_a_distributed_sampler():
    assert issubclass(EpochSampler, DistributedSampler)


def test_no_cases_give_no_items():
    assert list(EpochSampler([], seed=0, shuffle=True)) == []


def test_with_a_length_all_epochs_together_go_through_the_cases_again_and_again():
    epochs = [[position for _, position in order(length=4, epoch=lambda now=now: now)] for now in range(5)]
    assert [len(own) for own in epochs] == [4] * 5
    every = [position for own in epochs for position in own]
    assert sorted(every[:10]) == CASES == sorted(every[10:]) and every[:10] != every[10:]


def test_an_epoch_may_be_longer_than_the_cases_are_many():
    found = [position for _, position in order(length=25)]
    assert len(found) == 25 and {found.count(case) for case in CASES} == {2, 3}


def test_ranks_share_an_epoch_of_a_given_length():
    shares = [order(length=6, ranks=2, rank=rank) for rank in range(2)]
    assert [len(share) for share in shares] == [3, 3]
    assert len({position for share in shares for _, position in share}) == 6
