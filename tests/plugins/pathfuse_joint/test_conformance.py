from pathfuse.testing import parametrize_with_checks
from pathfuse_joint.by_modality import ByModality
from pathfuse_joint.vectors import VectorEncoder


@parametrize_with_checks(ByModality, VectorEncoder)
def test_conforms(check):
    check()
