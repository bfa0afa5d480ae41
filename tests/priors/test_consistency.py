"""The second view of the student's lessons: moved maps, moved points, and what it rewards."""

from __future__ import annotations

import numpy as np
import torch

from data.synthetic import render_face
from models.student import Student
from priors.consistency import consistency_loss, new_view

CPU = torch.device("cpu")


def test_maps_and_points_move_alike() -> None:
    count, side = 6, 96
    view = new_view(count, seed=0, step=3, device=CPU)
    assert view.flips.any()
    assert not view.flips.all()
    place = torch.tensor([[0.3, 0.4], [0.7, 0.4]])
    swap = torch.tensor([1, 0])
    line = (torch.arange(side) + 0.5) / side
    dots = torch.stack(
        [
            torch.exp(-((line[None] - x) ** 2 + (line[:, None] - y) ** 2) / (2 * 0.03**2))
            for x, y in place
        ]
    )
    moved = view.image(dots.expand(count, -1, -1, -1))
    mass = moved.sum((2, 3))
    found = torch.stack(
        [(moved * line).sum((2, 3)) / mass, (moved * line[:, None]).sum((2, 3)) / mass], -1
    )
    wanted = view.points(place.expand(count, -1, -1), swap)
    # the dots of a mirrored face keep their channel, its points change places
    found = torch.where(view.flips[:, None, None], found[:, swap], found)
    torch.testing.assert_close(found, wanted, atol=0.5 / side, rtol=0)
    assert (wanted - place).abs().max() > 0.005
    again = new_view(count, seed=0, step=3, device=CPU)
    torch.testing.assert_close(again.moves, view.moves, rtol=0, atol=0)
    assert not torch.equal(new_view(count, seed=0, step=4, device=CPU).moves, view.moves)


def test_saying_the_same_of_both_views_costs_least() -> None:
    torch.manual_seed(0)
    student = Student(("parse", "heat"))
    faces = np.stack([render_face(i, 64).image for i in range(2)])
    lq = torch.from_numpy(faces).permute(0, 3, 1, 2).float() / 255
    view = new_view(2, 0, 0, CPU)
    swap = torch.arange(26)
    moved = view.image(lq)
    # the first view is made to say, once moved, what the student says of the second
    said = student.logits(moved)
    back = torch.linalg.inv(
        torch.cat([view.moves, torch.tensor([[[0.0, 0.0, 1.0]]]).expand(2, -1, -1)], 1)
    )
    points = said["heat"] @ back[:, :2, :2].mT + back[:, None, :2, 2]
    same = consistency_loss(student, lq, view, None, points, swap)
    other = consistency_loss(student, lq, view, None, points + 0.02, swap)
    assert same.item() < 1e-6 < other.item()
    flat = torch.zeros_like(said["parse"])
    loss = consistency_loss(student, lq, view, flat, points, swap)
    loss.backward()
    assert student.enter[0].weight.grad is not None
