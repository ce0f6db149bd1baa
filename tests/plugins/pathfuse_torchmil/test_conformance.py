from pathfuse.testing import Example, parametrize_with_checks
from pathfuse_torchmil.abmil import ABMIL
from pathfuse_torchmil.clam import CLAM
from pathfuse_torchmil.dsmil import DSMIL
from pathfuse_torchmil.dtfd import DTFDMIL
from pathfuse_torchmil.transmil import TransMIL


@parametrize_with_checks(
    ABMIL,
    Example(ABMIL, {"gated": True, "activation": "gelu", "join": "concat"}),
    CLAM,
    Example(CLAM, {"k": 3, "instance_loss": "cross_entropy"}),
    DSMIL,
    Example(DSMIL, {"nonlinear_query": False, "nonlinear_value": True, "dropout": 0.2}),
    DTFDMIL,
    Example(DTFDMIL, {"distil": "max"}),
    Example(DTFDMIL, {"distil": "maxmin"}),
    TransMIL,
    Example(TransMIL, {"dim": 16, "heads": 2, "landmarks": 4, "layers": 3, "mlp": True}),
)
def test_it_keeps_the_contract(check):
    check()
