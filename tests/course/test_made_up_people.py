"""The faces that chapters show."""

import torch

from elsface_lite.course.faces import made_up_people, portrait_faces
from elsface_lite.data.degradation import quantize


def test_the_made_up_people_are_36_and_differ():
    people = made_up_people()
    assert people.shape == (36, 3, 256, 256) and torch.equal(people, quantize(people))
    small = people.unfold(2, 32, 32).unfold(3, 32, 32).mean((-1, -2)).flatten(1)
    assert (torch.cdist(small, small) + torch.eye(36)).min() > 0.5
    # No seam of the sheet runs through a picture: to the next column is no step that stands out.
    steps = people.diff(dim=3).abs().mean((0, 1, 2))
    assert steps.max() < 2 * steps.median()


def test_the_portraits_are_faces_at_hr_size():
    assert {name: face.shape for name, face in portrait_faces().items()} == dict.fromkeys(
        ("astronaut", "grace_hopper"), (3, 128, 128)
    )
