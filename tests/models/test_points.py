"""The search for points: correlation, sub-pixel peaks, the shape, and the solver."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional

from models.points import (
    GRID,
    MAPS,
    RADIUS,
    REACH,
    SOLVER_STEPS,
    STRIDE,
    TAPS,
    correlate,
    edge_maps,
    find_points,
    fit_shapes,
    grey_of,
    search,
    windows,
)
from models.solving import solve


def _smooth(seed: int) -> torch.Tensor:
    noise = torch.rand(1, 1, GRID, GRID, generator=torch.Generator().manual_seed(seed))
    return functional.avg_pool2d(noise, 7, 1, 3)[:, 0]


def _patches(grey: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    return windows(edge_maps(grey), places, RADIUS)[0, :, :, ::STRIDE, ::STRIDE]


def test_a_patch_is_found_where_it_is() -> None:
    grey = _smooth(1)
    place = torch.tensor([[[60.0, 70.0]]])
    patch = _patches(grey, place)
    assert patch.shape == (1, MAPS, TAPS, TAPS)
    maps = edge_maps(grey)
    torch.testing.assert_close(patch[0], maps[0, :, 60:81:STRIDE, 50:71:STRIDE])
    found, trust = search(maps, place + torch.tensor([4.0, -3.0]), patch)
    assert (found - place).abs().max() < 0.3
    assert torch.linalg.eigvalsh(trust).min() > 0.5, "of a place that is sure to a pixel"
    far, unsure = search(maps, place + 20.0, patch)
    assert (far - place - 20.0).abs().max() <= REACH + 0.5, "a step reaches no further"
    assert torch.linalg.det(unsure) < torch.linalg.det(trust)


def test_the_correlation_of_a_patch_with_itself_is_1() -> None:
    grey = _smooth(1)
    place = torch.tensor([[[60.0, 70.0]]])
    match = correlate(windows(edge_maps(grey), place, RADIUS), _patches(grey, place))
    assert match.shape == (1, 1, 1, 1)
    assert match.item() == pytest.approx(1, abs=0.1)  # the spread is of all pixels


def test_edges_are_the_same_in_the_negative() -> None:
    grey = 0.2 + 0.6 * _smooth(3)
    maps, negative = edge_maps(grey), edge_maps(1 - grey)
    torch.testing.assert_close(maps[:, :2], negative[:, :2], atol=1e-4, rtol=0)
    torch.testing.assert_close(maps[:, 2], -negative[:, 2], atol=1e-3, rtol=0)


def test_edges_hardly_depend_on_the_light() -> None:
    grey = 0.2 + 0.5 * _smooth(3)
    change = (edge_maps(0.6 * grey + 0.1) - edge_maps(grey)).abs().mean()
    assert change < 0.2 * edge_maps(grey).abs().mean()


def test_an_edge_is_trusted_across_itself_only() -> None:
    grey = torch.full((1, GRID, GRID), 0.3)
    grey[:, :, 64:] = 0.7
    place = torch.tensor([[[64.0, 64.0]]])
    _, trust = search(edge_maps(grey), place, _patches(grey, place))
    assert trust[0, 0, 0, 0] > 3 * trust[0, 0, 1, 1]


def test_the_solver_solves() -> None:
    rng = np.random.default_rng(0)
    half = rng.normal(size=(3, 24, 60))
    left = half @ half.transpose(0, 2, 1) + 0.1 * np.eye(24)
    right = 10 * rng.normal(size=(3, 24))
    wanted = np.linalg.solve(left, right[..., None])[..., 0]
    found = solve(torch.from_numpy(left).float(), torch.from_numpy(right).float(), SOLVER_STEPS)
    np.testing.assert_allclose(found.numpy(), wanted, atol=1e-2 * np.abs(wanted).max())


def test_a_shape_follows_what_is_trusted() -> None:
    mean = torch.tensor([[10.0, 10.0], [20.0, 10.0], [15.0, 20.0]])
    shifts = torch.zeros(2, 3, 2)
    shifts[0, :, 0] = shifts[1, :, 1] = 1
    found = mean + torch.tensor([3.0, -2.0])
    found = torch.stack([found, found])
    found[1, 2] = 90.0
    trust = torch.tensor([[1.0, 1, 1], [1.0, 1, 1e-6]])[..., None, None] * torch.eye(2)
    shape = fit_shapes(found, trust, mean, shifts, torch.full((2,), 1e-6))
    for one in shape:
        torch.testing.assert_close(one, mean + torch.tensor([3.0, -2.0]), atol=1e-2, rtol=0)


def test_points_move_with_the_face() -> None:
    grey = _smooth(2)
    mean = torch.tensor([[40.0, 50.0], [80.0, 50.0], [60.0, 90.0]])
    patches = _patches(grey, mean[None])
    basis = torch.eye(6).view(6, 3, 2)
    moved = torch.roll(grey, (4, -5), (1, 2))
    found = find_points(moved, mean, patches, basis, torch.full((6,), 1e-3))
    torch.testing.assert_close(found[0], mean + torch.tensor([-5.0, 4.0]), atol=0.3, rtol=0)


def test_grey_is_luma_at_the_grid() -> None:
    face = torch.zeros(1, 3, 64, 64)
    face[:, 1] = 1.0
    grey = grey_of(face)
    assert grey.shape == (1, GRID, GRID)
    torch.testing.assert_close(grey, torch.full_like(grey, 0.587))
