"""Rigid, affine and B-spline stages by mutual information, computed by SimpleITK."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter  # type: ignore[import-untyped]

from pathfuse.errors import PluginError
from pathfuse.register.views import View

Matrix = NDArray[np.float64]  # (3, 3), micrometres of the fixed slide to micrometres of the moving one
BINS = 32
SAMPLES = 40_000  # pixels that the bending looks at
MARGIN = 0.5  # of the edges, glass around the moving picture: samples beyond it would not count, and be a way out
MOST_MARGIN_PX = 256  # a large slide is not turned out of its own picture any more when it is bent
FIRST_STEP_PX = {"rigid": 4, "affine": 1}
_SMOOTH_PX = 1.0
_LEAST_PX = 32  # an edge that short holds no grid of control points


def sitk() -> ModuleType:
    """The module `SimpleITK`.

    Raises:
        PluginError: if it is not installed.
    """
    try:
        import SimpleITK
    except ModuleNotFoundError as error:
        raise PluginError("SimpleITK is not installed. Run: pip install 'pathfuse[register]'") from error
    return SimpleITK


def refined(fixed: View, moving: View, start: Matrix, kind: str) -> tuple[Matrix, float]:
    """A placement improved over all of the tissue, and the mutual information that it ends with.

    Args:
        fixed: seen from the fixed slide.
        moving: at about the same spacing.
        start: where to begin.
        kind: `rigid` turns and moves, `affine` stretches and shears as well.
    """
    module = sitk()
    middle = fixed.points().mean(axis=0).tolist()
    change = module.Euler2DTransform() if kind == "rigid" else module.AffineTransform(2)
    change.SetCenter(middle)
    method = _method(module, fixed, start)
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=FIRST_STEP_PX[kind] * fixed.mpp,
        minStep=0.02 * fixed.mpp,
        numberOfIterations=120,
        relaxationFactor=0.6,
        gradientMagnitudeTolerance=1e-8,
    )
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetInitialTransform(change, inPlace=True)
    try:
        method.Execute(_image(module, fixed), _image(module, moving, MARGIN))
    except RuntimeError:  # SimpleITK's word for tissues that do not meet at all
        return start, 0.0
    return start @ _as_matrix(change), -float(method.GetMetricValue())


def bent(fixed: View, moving: View, start: Matrix, *, grid_um: float, iterations: int = 40) -> NDArray[np.float32]:
    """A smooth displacement field by mutual information, (H, W, 2) x and y in micrometres at the fixed view's pixels.

    A point p of the fixed slide lies at `start` of p plus its displacement.

    Args:
        fixed: seen from the fixed slide.
        moving: at about the same spacing.
        start: an affine placement.
        grid_um: distance of the control points.
        iterations: of the optimiser.
    """
    height, width = fixed.tissue.shape
    if min(height, width) < _LEAST_PX:
        return np.zeros((height, width, 2), np.float32)
    module = sitk()
    image = _image(module, fixed)
    cells = [max(1, round(edge * pitch / grid_um)) for edge, pitch in zip((width, height), fixed.pitch, strict=True)]
    spline = module.BSplineTransformInitializer(image, cells, order=3)
    method = _method(module, fixed, start)
    method.SetOptimizerAsLBFGS2(
        numberOfIterations=iterations, hessianApproximateAccuracy=5, deltaConvergenceTolerance=1e-4
    )
    method.SetMetricSamplingStrategy(method.REGULAR)
    method.SetMetricSamplingPercentage(min(1.0, SAMPLES / fixed.tissue.size), 1)
    method.SetInitialTransform(spline, inPlace=True)
    try:
        method.Execute(image, _image(module, moving, MARGIN))
    except RuntimeError:  # as above
        return np.zeros((height, width, 2), np.float32)
    field = module.TransformToDisplacementField(
        spline, module.sitkVectorFloat32, image.GetSize(), image.GetOrigin(), image.GetSpacing(), image.GetDirection()
    )
    displacement: NDArray[np.float32] = module.GetArrayFromImage(field)
    return displacement


def _method(module: ModuleType, fixed: View, start: Matrix) -> Any:  # noqa: ANN401 - SimpleITK has no types
    method = module.ImageRegistrationMethod()
    method.SetNumberOfThreads(1)  # sums over several end in other digits every time, and the optimiser goes other ways
    method.SetMetricAsMattesMutualInformation(BINS)
    method.SetInterpolator(module.sitkLinear)
    mask = module.GetImageFromArray(fixed.tissue.astype(np.uint8))
    mask.CopyInformation(_image(module, fixed))
    method.SetMetricFixedMask(mask)
    placed = module.AffineTransform(2)
    placed.SetMatrix(start[:2, :2].ravel().tolist())
    placed.SetTranslation(start[:2, 2].tolist())
    method.SetMovingInitialTransform(placed)
    return method


def _image(module: ModuleType, of: View, margin: float = 0.0) -> Any:  # noqa: ANN401 - SimpleITK has no types
    """The density of a view, with glass around it as far as `margin` of its edges."""
    rows, columns = (min(round(margin * edge), MOST_MARGIN_PX) for edge in of.tissue.shape)
    density = np.pad(gaussian_filter(of.density * of.tissue, _SMOOTH_PX), ((rows, rows), (columns, columns)))
    image = module.GetImageFromArray(density)
    image.SetSpacing(of.pitch)
    image.SetOrigin([(0.5 - edge) * pitch for edge, pitch in zip((columns, rows), of.pitch, strict=True)])
    return image


def _as_matrix(change: Any) -> Matrix:  # noqa: ANN401 - SimpleITK has no types
    matrix = np.eye(3)
    matrix[:2, 2] = change.TransformPoint((0.0, 0.0))
    for axis, unit in enumerate(((1.0, 0.0), (0.0, 1.0))):
        matrix[:2, axis] = np.array(change.TransformPoint(unit)) - matrix[:2, 2]
    return matrix
