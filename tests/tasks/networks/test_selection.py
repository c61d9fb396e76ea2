"""Hard, straight-through and soft choices."""

import torch

from tasks.networks.selection import largest, largest_straight_through, softmax

SCORES = torch.tensor([[1.0, 3.0, 3.0], [-2.0, -5.0, -2.0], [0.0, 0.0, 0.0]])


def test_the_first_of_equal_scores_wins() -> None:
    assert largest(SCORES).argmax(-1).tolist() == SCORES.argmax(-1).tolist() == [1, 0, 0]
    assert torch.equal(largest(SCORES).sum(-1), torch.ones(3))


def test_straight_through_is_hard_forwards_and_soft_backwards() -> None:
    scores, weights = SCORES.clone().requires_grad_(), torch.arange(9.0).reshape(3, 3)
    assert torch.equal(largest_straight_through(scores), largest(SCORES))
    (found,) = torch.autograd.grad((largest_straight_through(scores) * weights).sum(), scores)
    (expected,) = torch.autograd.grad((softmax(scores) * weights).sum(), scores)
    assert torch.equal(found, expected)
