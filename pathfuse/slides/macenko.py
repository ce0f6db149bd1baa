"""Macenko stain separation and normalisation of 8-bit RGB images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from pathfuse.errors import ImageError, RecipeError
from pathfuse.slides.normalise import Normaliser
from pathfuse.slides.order_statistics import percentiles
from pathfuse.slides.resample import Pixels

Array = NDArray[Any]  # float32 where speed counts, float64 where digits do

MIN_TISSUE_PX = 10  # three give a covariance, ten a first and a last percentile that are not single pixels
MIN_VARIANCE_GAP = 1e-5  # second less third principal variance, of the first; 8-bit rounding alone leaves more
MIN_VARIANCE = 1e-8  # of optical density; a deviation of a fortieth of a grey level at most
TIE = 1e-6  # a smaller difference of directions is rounding
MIN_STAIN_ANGLE = 1e-3  # radians between the two stains; below it unmixing amplifies rounding a thousandfold
MIN_CONCENTRATION = 1 / 255  # less than one grey level of stain is no stain
# Pixels worked on at a time, so that three float planes stay in the second-level cache. Both are below the lengths at
# which OpenBLAS starts threads of its own: it knows nothing of data-loader workers, and on a busy machine its waiting
# costs ten times the work.
BAND_PX = 24_576  # 3x3 matrix products: 262144 multiplications
DOT_BAND_PX = 8_192  # dot products: 10000


@dataclass(frozen=True, eq=False)
class StainFit:
    """The two stains of one image.

    Args:
        HE: optical density of haematoxylin and eosin (columns) in red, green and blue (rows), (3, 2).
        maxC: 99th percentile of their concentrations, (2,).
    """

    HE: Array
    maxC: Array


REFERENCE = StainFit(
    np.array([[0.5626, 0.2159], [0.7201, 0.8012], [0.4062, 0.5581]]), np.array([1.9705, 1.0308])
)  # the usual reference, published with the first MATLAB version and kept by every library since


def fit(image: Pixels, *, Io: float = 240, beta: float = 0.15, alpha: float = 1) -> StainFit | None:
    """Finds the haematoxylin and eosin colours of an image, in float64.

    Args:
        image: RGB, uint8, (H, W, 3).
        Io: 8-bit grey level of unstained glass.
        beta: smallest optical density, in every channel, of a pixel that counts as tissue.
        alpha: percentile of the stain angle, and its complement, taken as the two pure stains.

    Returns:
        The fit, or None where the image does not show two stains: fewer than `MIN_TISSUE_PX` tissue pixels, one
        colour, colours on a line or without a plane of their own, or less stain than one grey level.
    """
    _check_image(image)
    return _fit(_optical_density(image, Io, np.float64), Io, beta, alpha)


def concentrations(image: Pixels, stains: StainFit, *, Io: float = 240) -> Array:
    """Amount of the two stains in every pixel by least squares, row-major, float64, (2, H*W)."""
    _check_image(image)
    return np.concatenate(list(_mix(np.linalg.pinv(stains.HE), _optical_density(image, Io, np.float64))), axis=1)


@dataclass(frozen=True, kw_only=True)
class Macenko(Normaliser):
    """Gives H&E images the stain colours of a reference.

    An image in which no two stains are found comes back unchanged; `fit(image)` tells, it is None for these. The
    result does not depend on the signs that the eigen-solver returns.

    Args:
        Io: 8-bit grey level of unstained glass.
        beta: smallest optical density, in every channel, of a pixel that counts as tissue.
        alpha: percentile of the stain angle, and its complement, taken as the two pure stains.
        target: stains to paint with; the usual reference when null. `fit` of a target image gives its stains.

    Source: Macenko et al. 2009, ISBI, "A method for normalizing histology slides for quantitative analysis".
    Departs: images without two stains are returned instead of failing. The 8-bit path works in float32, within one
        grey level of float64.
    """

    stains = frozenset({"he"})

    Io: float = 240
    beta: float = 0.15
    alpha: float = 1
    target: StainFit | None = None

    def __post_init__(self) -> None:
        """Refuses options that leave no tissue or no angle between the stains."""
        if not (self.Io > 1 and self.beta >= 0 and 0 <= self.alpha < 50):
            got = f"Io={self.Io}, beta={self.beta}, alpha={self.alpha}"
            raise RecipeError(f"Macenko: {got}; use Io above 1, beta of at least 0 and alpha from 0 to below 50.")

    def __call__(self, image: Pixels) -> Pixels:
        """Normalises one image (H, W, 3) or each of a batch (N, H, W, 3) by its own stains; returns uint8."""
        if image.ndim != 4:
            return self._paint(image)
        return np.stack([self._paint(one) for one in image]) if len(image) else image.copy()

    def towards(self, target: Pixels) -> Self:
        """The same with the stains of an image for its reference.

        Raises:
            ImageError: if the image does not show two stains.
        """
        found = self.fit(target)
        if found is None:
            raise ImageError("the target does not show two stains. Choose a field with tissue.")
        return replace(self, target=found)

    def fit(self, image: Pixels) -> StainFit | None:
        """The stains of an image under these options, or None where it does not show two."""
        return fit(image, Io=self.Io, beta=self.beta, alpha=self.alpha)

    def intensities(self, image: Pixels) -> Array:
        """The normalised image before clipping to 8 bits, float64, (H, W, 3)."""
        found = self.fit(image)
        if found is None:
            return image.astype(np.float64)
        bands = _mix(-self._repaint(found), _optical_density(image, self.Io, np.float64))
        exponent = np.concatenate(list(bands), axis=1)  # (3, H*W)
        with np.errstate(over="ignore"):  # far brighter than white
            values: Array = self.Io * np.exp(exponent).T.reshape(image.shape)
        return values

    def _paint(self, image: Pixels) -> Pixels:
        _check_image(image)
        density = _optical_density(image, self.Io, np.float32)  # (3, H*W)
        found = _fit(density, self.Io, self.beta, self.alpha)
        if found is None:
            return image.copy()
        # Unmixing, scaling and mixing again are linear in the optical density: one 3x3 matrix for all three.
        normalised = np.empty_like(image, order="C")
        channels = normalised.reshape(-1, 3).T  # (3, H*W), a view
        brightest = np.float32(np.log(255.5 / self.Io))
        for band, values in zip(_bands(density.shape[1]), _mix(-self._repaint(found), density), strict=True):
            np.minimum(values, brightest, out=values)  # before the exponential, which would overflow
            np.exp(values, out=values)
            values *= np.float32(self.Io)
            for channel, plane in zip(channels, values, strict=True):
                channel[band] = plane
        return normalised

    def _repaint(self, found: StainFit) -> Array:
        target = self.target or REFERENCE
        matrix: Array = (target.HE * (target.maxC / found.maxC)) @ np.linalg.pinv(found.HE)  # (3, 3)
        return matrix


def _check_image(image: Pixels) -> None:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise ImageError(f"Macenko needs uint8 RGB of shape (H, W, 3), got {image.dtype} {image.shape}; convert it.")


def _bands(pixels: int, size: int = BAND_PX) -> Iterator[slice]:
    return (slice(start, start + size) for start in range(0, pixels, size))


def _mix(matrix: Array, planes: Array) -> Iterator[Array]:
    matrix = matrix.astype(planes.dtype)
    return (matrix @ planes[:, band] for band in _bands(planes.shape[1]))


def _optical_density(image: Pixels, Io: float, dtype: type[np.floating[Any]]) -> Array:
    pixels = image.reshape(-1, 3)
    density = np.empty((3, len(pixels)), dtype)
    for band in _bands(len(pixels)):
        values = density[:, band]
        values[...] = pixels[band].T
        values += 1
        np.divide(dtype(Io), values, out=values)  # the reciprocal saves the minus sign
        np.log(values, out=values)
    return density  # (3, H*W)


def _fit(density: Array, Io: float, beta: float, alpha: float) -> StainFit | None:
    threshold = _density_threshold(Io, beta)
    count, plane = _principal_plane(density, threshold)
    if plane is None:
        return None

    def keys(planes: Array) -> Iterator[Array]:
        matrix = plane.T.astype(planes.dtype)
        # Glass goes last: dropping it from one row is cheaper than from three planes.
        return (_angle_key(matrix @ block).compress(kept, axis=1) for block, kept in _tissue(planes, threshold))

    places = percentiles(keys, density, count, [(0, alpha), (0, 100 - alpha)])
    low, high = (p._replace(below=_angle(p.below), above=_angle(p.above)).value for p in places)
    if abs(np.sin(high - low)) < MIN_STAIN_ANGLE:  # the same or opposite directions
        return None
    stains = plane @ np.array([[np.cos(low), np.cos(high)], [np.sin(low), np.sin(high)]])  # (3, 2)
    # Haematoxylin absorbs more red; where both absorb the same, the next channel decides, not the rounding.
    if next(more for more in stains[:, 0] - stains[:, 1] if abs(more) > TIE) < 0:
        stains = stains[:, ::-1]
    unmix = np.linalg.pinv(stains)  # (2, 3)
    places = percentiles(lambda planes: _mix(unmix, planes), density, density.shape[1], [(0, 99), (1, 99)])
    maxC = np.array([place.value for place in places])
    return StainFit(stains, maxC) if maxC.min() > MIN_CONCENTRATION else None


def _density_threshold(Io: float, beta: float) -> float:
    # Only 256 densities exist. Half-way between the last that is tissue and the next, rounding cannot change a pixel.
    levels = -np.log((np.arange(256) + 1) / Io)
    tissue = np.count_nonzero(levels >= beta)
    return float(np.concatenate([[np.inf], levels, [-np.inf]])[tissue : tissue + 2].mean())


def _tissue(planes: Array, threshold: float, size: int = BAND_PX) -> Iterator[tuple[Array, Array]]:
    """Bands of the planes, (3, n), and which of their pixels are tissue, (n,)."""
    for band in _bands(planes.shape[1], size):
        yield planes[:, band], planes[:, band].min(axis=0) >= threshold


def _principal_plane(density: Array, threshold: float) -> tuple[int, Array | None]:
    """Number of tissue pixels, and the two leading eigenvectors of their covariance, (3, 2), leading first."""
    count, total, scatter = 0, np.zeros(3), np.zeros((3, 3))
    for block, kept in _tissue(density, threshold, DOT_BAND_PX):
        # Double precision, else the second variance of a nearly one-coloured image would be rounding.
        red, green, blue = block = block.astype(np.float64) * kept.astype(np.float64)  # glass counts as nothing
        count += int(np.count_nonzero(kept))
        total += block.sum(axis=1)
        # Six dot products: the general matrix product is several times slower on three long rows.
        scatter += [[red @ red, 0, 0], [green @ red, green @ green, 0], [blue @ red, blue @ green, blue @ blue]]
    if count < MIN_TISSUE_PX:
        return count, None
    covariance = (scatter - np.outer(total, total) / count) / (count - 1)
    variances, vectors = np.linalg.eigh(covariance)  # ascending; reads the lower triangle
    if variances[2] < MIN_VARIANCE or variances[1] - variances[0] < MIN_VARIANCE_GAP * variances[2]:
        return count, None
    plane = vectors[:, [2, 1]]
    sums = plane.sum(axis=0)
    # A sum of nearly zero has the sign of its rounding; the largest component, the first of equals, then decides.
    largest = plane[np.abs(plane).round(6).argmax(axis=0), [0, 1]]
    signs = np.where(np.where(np.abs(sums) < TIE, largest, sums) < 0, -1.0, 1.0)
    return count, plane * signs  # (3, 2)


def _angle_key(points: Array) -> Array:
    """A number from -2 to 2 that rises with atan2(second, leading) and costs a division, (1, n)."""
    leading, second = points
    length = np.abs(leading) + np.abs(second)
    key = second / np.maximum(length, np.finfo(points.dtype).tiny)
    left = leading < 0
    if left.any():
        key[left] = np.copysign(points.dtype.type(2), second[left]) - key[left]
    row: Array = key[None]
    return row


def _angle(key: float) -> float:
    second = key if abs(key) <= 1 else np.copysign(2, key) - key
    return float(np.arctan2(second, 1 - abs(key)))
