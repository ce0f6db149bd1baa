import pytest


@pytest.fixture(autouse=True)
def torchmil() -> None:
    """Every network here is torchmil's own, which an extra brings."""
    pytest.importorskip("torchmil", reason="needs pathfuse[torchmil]")
