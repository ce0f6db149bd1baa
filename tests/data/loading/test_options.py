"""How cases are loaded: what is refused, and by which name."""

import pytest

from pathfuse.data.loading.options import Loading
from pathfuse.errors import RecipeError


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"batch_size": 0}, r"loading\.batch_size is 0; give at least 1"),
        ({"num_workers": -1}, r"loading\.num_workers is -1; give at least 0"),
        ({"seed": -1}, r"loading\.seed is -1; give at least 0"),
    ],
)
def test_a_number_out_of_range_is_refused_in_one_line(options, told):
    with pytest.raises(RecipeError, match=told) as caught:
        Loading(**options)
    assert "\n" not in str(caught.value)


def test_the_least_of_everything_is_allowed():
    assert Loading(batch_size=1, num_workers=0, seed=0).sampler == "shuffled"
