from pathfuse.testing import parametrize_with_checks
from pathfuse_teach.distillation import DistillationObjective


@parametrize_with_checks(DistillationObjective)
def test_conforms(check):
    check()
