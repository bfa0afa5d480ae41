"""Statistics of LQ faces by which two degradations are compared."""

from __future__ import annotations

import cv2
import numpy as np
from scipy.stats import ks_2samp

STATISTICS: tuple[str, ...] = (
    "psnr_to_area_hq",
    "laplacian_std",
    "log10_band_4_8",
    "log10_band_8_16",
    "log10_band_16_32",
    "log10_band_32_64",
)


def lq_statistics(lq: np.ndarray, hq: np.ndarray) -> np.ndarray:
    """The six `STATISTICS` of one pair, float64 (6,); uint8 RGB LQ (h,w,3) and HQ (H,W,3).

    PSNR (dB) of the LQ to the HQ reduced by area averaging, standard deviation of the Laplacian of
    the grey LQ, and log10 of the share of its spectral energy in four bands of radius (in cycles
    per image), the mean removed. Identical pictures give an infinite PSNR.
    """
    small = cv2.resize(hq, (lq.shape[1], lq.shape[0]), interpolation=cv2.INTER_AREA)
    error = np.mean((lq.astype(np.float64) - small.astype(np.float64)) ** 2)
    psnr = 10 * np.log10(255.0**2 / error) if error else np.inf
    grey = cv2.cvtColor(lq, cv2.COLOR_RGB2GRAY)
    laplacian = cv2.Laplacian(grey, cv2.CV_64F, ksize=1).std()
    return np.array([psnr, laplacian, *np.log10(band_shares(grey) + 1e-12)])


def band_shares(grey: np.ndarray) -> np.ndarray:
    """Shares of spectral energy of (h,w) in radii [4,8) [8,16) [16,32) [32,64), float64 (4,)."""
    values = grey.astype(np.float64)
    energy = np.abs(np.fft.fftshift(np.fft.fft2(values - values.mean()))) ** 2
    rows, columns = np.indices(energy.shape)
    radius = np.hypot(rows - energy.shape[0] // 2, columns - energy.shape[1] // 2)
    total = max(energy.sum(), np.finfo(np.float64).tiny)
    return np.array(
        [energy[(radius >= low) & (radius < 2 * low)].sum() / total for low in (4, 8, 16, 32)]
    )


def ks_p_values(ours: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Two-sample Kolmogorov-Smirnov p of each column of (n,6) against (m,6), float64 (6,)."""
    return np.array([ks_2samp(a, b).pvalue for a, b in zip(ours.T, reference.T, strict=True)])
