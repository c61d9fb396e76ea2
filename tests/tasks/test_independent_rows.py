"""Independent batches: all rows alike, nothing known from batches before, continued where they were left."""

import torch

from tasks.independent_rows import IndependentRows


def rows(seed: int = 0, batch_size: int = 64) -> IndependentRows:
    return IndependentRows(20, batch_size, seed, torch.device("cpu"))


def test_all_rows_are_drawn_equally_often() -> None:
    stream = rows()
    counts = torch.bincount(torch.cat([stream.next() for _ in range(500)]), minlength=20)
    expected = 500 * 64 / 20
    assert ((counts - expected).abs() < 5 * expected**0.5).all()


def test_rows_come_back_before_the_others_are_used_up() -> None:
    stream = rows(batch_size=10)
    # two shuffled batches of ten would be all twenty rows
    assert len(torch.cat([stream.next(), stream.next()]).unique()) < 20
    assert stream.per_epoch == 2


def test_the_seed_decides_the_batches() -> None:
    assert torch.equal(rows(1).next(), rows(1).next())
    assert not torch.equal(rows(1).next(), rows(2).next())


def test_a_restored_stream_continues() -> None:
    stream, other = rows(), rows()
    stream.next()
    state = stream.state_dict()
    expected = stream.next()
    other.load_state_dict(state)
    assert torch.equal(other.next(), expected)
