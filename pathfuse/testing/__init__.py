"""The conformance kit: one line proves that a component keeps its contract.

```python
@parametrize_with_checks(MyFusion, Example(MyBackbone, {"weights": "random"}))
def test_conforms(check):
    check()
```
"""

from typing import TYPE_CHECKING

from pathfuse.testing.example import Example
from pathfuse.testing.kit import CheckResult, run_checks, summary
from pathfuse.testing.reference import (
    ReferenceBackbone,
    ReferenceEncoder,
    ReferenceFusion,
    ReferenceHead,
    ReferenceInput,
    tiny_model,
)
from pathfuse.testing.specs import (
    BAGS_AND_VECTOR,
    STAINS_AND_VECTOR,
    THREE_BAGS,
    THREE_STAINS,
    TWO_BAGS,
    TWO_STAINS,
    stains,
    with_vector,
)
from pathfuse.testing.synthetic import synthetic_batch, synthetic_fused, synthetic_tokens

if TYPE_CHECKING:
    from pathfuse.testing.parametrise import parametrize_with_checks

__all__ = [
    "BAGS_AND_VECTOR",
    "STAINS_AND_VECTOR",
    "THREE_BAGS",
    "THREE_STAINS",
    "TWO_BAGS",
    "TWO_STAINS",
    "CheckResult",
    "Example",
    "ReferenceBackbone",
    "ReferenceEncoder",
    "ReferenceFusion",
    "ReferenceHead",
    "ReferenceInput",
    "parametrize_with_checks",
    "run_checks",
    "stains",
    "summary",
    "synthetic_batch",
    "synthetic_fused",
    "synthetic_tokens",
    "tiny_model",
    "with_vector",
]


def __getattr__(name: str) -> object:
    # pytest is only there for those who test; `pathfuse plugins check` works without.
    if name == "parametrize_with_checks":
        from pathfuse.testing.parametrise import parametrize_with_checks

        return parametrize_with_checks
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
