"""ParameterLayout: which tensors make up a point, and in which order."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from polystep.layout import ParameterLayout

SHAPES = st.lists(st.lists(st.integers(1, 3), max_size=3).map(tuple), min_size=1, max_size=5)


@pytest.fixture
def network() -> nn.Module:
    return nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2), nn.Linear(2, 1, bias=False))


class Tied(nn.Module):
    def __init__(self, tie: Callable[[nn.Parameter], nn.Parameter]):
        super().__init__()
        self.encoder = nn.Linear(3, 3, bias=False)
        self.decoder = nn.Linear(3, 3)
        self.decoder.weight = tie(self.encoder.weight)


class TwoTensors(nn.Module):
    def __init__(self, first: torch.Tensor, second: torch.Tensor):
        super().__init__()
        self.first, self.second = nn.Parameter(first), nn.Parameter(second)


def test_entries_follow_definition_order_without_gaps(network: nn.Module) -> None:
    layout = ParameterLayout.of_module(network)
    assert [(entry.name, entry.shape, entry.offset) for entry in layout.entries] == [
        ("0.weight", (2, 3), 0),
        ("0.bias", (2,), 6),
        ("1.weight", (2,), 8),
        ("1.bias", (2,), 10),
        ("2.weight", (1, 2), 12),
    ]
    assert layout.size == 14


def test_point_holds_the_parameters_in_order(network: nn.Module) -> None:
    point = ParameterLayout.of_module(network).point_of(network)
    torch.testing.assert_close(point, torch.cat([p.detach().flatten() for p in network.parameters()]), rtol=0, atol=0)


@settings(derandomize=True, deadline=None, max_examples=40)
@given(SHAPES)
def test_flatten_reverts_unflatten(shapes: list[tuple[int, ...]]) -> None:
    layout = ParameterLayout({f"tensor{i}": shape for i, shape in enumerate(shapes)})
    point = torch.arange(float(layout.size))
    tensors = layout.unflatten(point)
    assert [tensors[entry.name].shape for entry in layout.entries] == shapes
    assert torch.equal(layout.flatten(tensors), point)


@settings(derandomize=True, deadline=None, max_examples=40)
@given(SHAPES, st.integers(0, 3))
def test_batched_unflatten_is_unflatten_of_each_point(shapes: list[tuple[int, ...]], count: int) -> None:
    layout = ParameterLayout({f"tensor{i}": shape for i, shape in enumerate(shapes)})
    points = torch.arange(float(count * layout.size)).reshape(count, layout.size)
    batched = layout.unflatten(points)
    for entry in layout.entries:
        assert batched[entry.name].shape == (count, *entry.shape)
        for n in range(count):
            assert torch.equal(batched[entry.name][n], layout.unflatten(points[n])[entry.name])


def test_write_reverts_point_of(network: nn.Module) -> None:
    layout = ParameterLayout.of_module(network)
    point = torch.arange(float(layout.size))
    layout.write(point, network)
    assert torch.equal(layout.point_of(network), point)


def test_points_are_float32_whatever_the_parameters_are() -> None:
    module = nn.Linear(2, 2).double()
    layout = ParameterLayout.of_module(module)
    assert layout.point_of(module).dtype == torch.float32
    layout.write(torch.full((6,), 0.5), module)
    assert module.weight.dtype == torch.float64
    assert module.weight.eq(0.5).all()


@pytest.mark.parametrize("tie", [lambda weight: weight, lambda weight: nn.Parameter(weight.data)])
def test_tied_weight_is_stored_once_and_written_to_all_names(tie: Callable[[nn.Parameter], nn.Parameter]) -> None:
    module = Tied(tie)
    layout = ParameterLayout.of_module(module)
    assert layout.size == 9 + 3
    assert layout.entries[0].aliases == ("decoder.weight",)
    layout.write(torch.arange(12.0), module)
    expected = torch.arange(9.0).reshape(3, 3)
    assert torch.equal(module.encoder.weight, expected)
    assert torch.equal(module.decoder.weight, expected)
    assert module.encoder.weight.data_ptr() == module.decoder.weight.data_ptr()


def test_unflatten_gives_tied_weights_under_all_names() -> None:
    layout = ParameterLayout.of_module(Tied(lambda weight: weight))
    tensors = layout.unflatten(torch.arange(24.0).reshape(2, 12))
    assert torch.equal(tensors["encoder.weight"], tensors["decoder.weight"])


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (lambda memory: memory[:6].view(2, 3), lambda memory: memory[:6].view(3, 2)),
        (lambda memory: memory[:4].view(2, 2), lambda memory: memory[:4].view(2, 2).T),
        (lambda memory: memory[:4], lambda memory: memory[:6]),
        (lambda memory: memory[:4], lambda memory: memory[2:6]),
        (lambda memory: memory[2:6], lambda memory: memory[:4]),
    ],
    ids=["reshaped", "transposed", "longer", "shifted forward", "shifted backward"],
)
def test_overlapping_memory_is_an_error(
    first: Callable[[torch.Tensor], torch.Tensor], second: Callable[[torch.Tensor], torch.Tensor]
) -> None:
    memory = torch.zeros(6)
    with pytest.raises(ValueError, match=r"'second'.*shares memory with 'first'"):
        ParameterLayout.of_module(TwoTensors(first(memory), second(memory)))


def test_neighbours_in_one_block_of_memory_do_not_overlap() -> None:
    memory = torch.zeros(6)
    assert ParameterLayout.of_module(TwoTensors(memory[:2], memory[2:])).size == 6


@pytest.mark.parametrize("module", [nn.ReLU(), nn.Linear(2, 2).requires_grad_(False)])
def test_module_without_trainable_parameters_is_an_error(module: nn.Module) -> None:
    with pytest.raises(ValueError, match="no trainable"):
        ParameterLayout.of_module(module)


def test_layout_without_elements_is_an_error() -> None:
    with pytest.raises(ValueError, match="nothing to optimise"):
        ParameterLayout({"empty": (0, 3)})


def test_frozen_and_integer_parameters_are_left_alone(network: nn.Module) -> None:
    network[0].weight.requires_grad_(False)
    network.register_parameter("steps", nn.Parameter(torch.tensor([3]), requires_grad=False))
    frozen = network[0].weight.clone()
    layout = ParameterLayout.of_module(network)
    assert [entry.name for entry in layout.entries] == ["0.bias", "1.weight", "1.bias", "2.weight"]
    layout.write(torch.full((layout.size,), 7.0), network)
    assert torch.equal(network[0].weight, frozen)
    assert network.steps.item() == 3


def test_complex_parameter_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"'first' has type torch\.complex64"):
        ParameterLayout.of_module(TwoTensors(torch.zeros(2, dtype=torch.complex64), torch.zeros(1)))


def test_buffers_are_not_optimised(network: nn.Module) -> None:
    buffers = {name: buffer.clone() for name, buffer in network.named_buffers()}
    layout = ParameterLayout.of_module(network)
    assert not set(buffers) & {entry.name for entry in layout.entries}
    layout.write(torch.full((layout.size,), 7.0), network)
    for name, buffer in network.named_buffers():
        assert torch.equal(buffer, buffers[name])


def test_point_of_wrong_length_is_an_error(network: nn.Module) -> None:
    with pytest.raises(ValueError, match="expected points of 14 numbers"):
        ParameterLayout.of_module(network).unflatten(torch.zeros(13))


def test_layouts_are_equal_by_content(network: nn.Module) -> None:
    layout = ParameterLayout.of_module(network)
    assert layout == ParameterLayout.of_module(network)
    assert hash(layout) == hash(ParameterLayout.of_module(network))
    assert layout != ParameterLayout({"0.weight": (14,)})


def test_copies_of_points_share_nothing_and_must_fit() -> None:
    layout = ParameterLayout({"weight": (2, 3)})
    point = torch.ones(6, requires_grad=True)
    copy = layout.copy_of(point)
    assert torch.equal(copy, point) and not copy.requires_grad and copy.data_ptr() != point.data_ptr()
    with pytest.raises(ValueError, match=r"point must have shape \(6,\) to fit the layout, got \(5,\)"):
        layout.copy_of(point[:5])
