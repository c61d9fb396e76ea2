"""How a convolutional network, its parameters and its signals are laid out for the kernels."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from polystep.evaluation.convolution.kernels import TILE
from polystep.evaluation.convolution.map_kernels import AVERAGE, AVERAGE_WITH_PADDING, FIRST_ACTIVATION, MAXIMUM
from polystep.evaluation.convolution.maps import MapOperation, Pair, Pointwise, Pool
from polystep.evaluation.convolution.network import ConvolutionalNetwork, MapTrace, Tensors
from polystep.evaluation.kernels import LANES

FloatArray = NDArray[np.float32]


def _record(names: str) -> np.dtype[Any]:
    return np.dtype([(name, np.int64) for name in names.split()])


WINDOW = "height width rows columns down across step_down step_across above beside"
OPERATION = _record(f"kind {WINDOW}")
"""One operation: rows x columns windows of down x across in a map of height x width, padded above and beside."""
LAYER = _record(f"channels {WINDOW} units padded_units taps weight maps positions results pre signal first stop")
"""One layer: the same windows in `channels` maps, weighted for `units`.

taps: numbers of a window, padded. weight: place of the first of its weights (channels, taps, padded_units), window column by
column. The operations first .. stop see `maps` maps of `positions` and give maps of `results` positions. pre, signal: places
of the pre-activations and of what the operations give among the numbers of a block of the base point.
"""


class Plan:
    """The layers and operations of a network for inputs of one size."""

    def __init__(
        self, network: ConvolutionalNetwork, shapes: dict[str, tuple[int, ...]], size: Pair, numbers: dict[int, int]
    ):
        """`shapes`: of the parameters. `size`: height and width of the inputs. `numbers`: those of `number_activations`."""
        self._numbers = numbers
        self._operations: list[tuple[int, ...]] = []
        self._places = self._weights = 0
        layers = []
        for convolution in network.convolutions:
            units, channels = shapes[convolution.weight][:2]
            sizes = convolution.sizes(size)
            windows = (*size, *sizes[0], *convolution.kernel, *convolution.stride, *convolution.padding)
            layers.append(self._layer(channels, windows, units, units, sizes[0], convolution.operations))
            size = sizes[-1]
        channels = units
        for layer in network.head.layers:
            units = shapes[layer.weight][0]
            windows = (*size, 1, 1, *size, 1, 1, 0, 0)
            layers.append(self._layer(channels, windows, units, 1, (units, 1), (Pointwise(layer.activation),)))
            channels, size = 1, (units, 1)
        self.layers, self.operations = np.array(layers, LAYER), np.array(self._operations, OPERATION)
        self.sizes = self._sizes()

    def _layer(
        self,
        channels: int,
        windows: tuple[int, ...],
        units: int,
        maps: int,
        size: Pair,
        operations: tuple[MapOperation, ...],
    ) -> tuple[int, ...]:
        first, positions = len(self._operations), size[0] * size[1]
        for operation in operations:
            self._operations.append(self._operation(operation, size))
            size = operation.size(size)
        results, padded_units, taps = size[0] * size[1], _whole_tiles(units), _whole_tiles(windows[4] * windows[5])
        pre, signal = self._places, self._places + maps * positions * LANES
        weight, self._weights = self._weights, self._weights + channels * taps * padded_units
        self._places = signal + maps * results * LANES
        rest = maps, positions, results, pre, signal, first, len(self._operations)
        return channels, *windows, units, padded_units, taps, weight, *rest

    def _operation(self, operation: MapOperation, size: Pair) -> tuple[int, ...]:
        after = operation.size(size)
        if isinstance(operation, Pool):
            average = AVERAGE_WITH_PADDING if operation.counts_padding else AVERAGE
            kind = MAXIMUM if operation.kind == "maximum" else average
            return kind, *size, *after, *operation.kernel, *operation.stride, *operation.padding
        number = self._numbers[id(operation.activation)]
        return FIRST_ACTIVATION + number, *size, *after, 1, 1, 1, 1, 0, 0

    def image_positions(self, index: int) -> int:
        """Positions of what a row of a layer gives: of a map, or the one of a unit."""
        return int(self.layers["rows"][index] * self.layers["columns"][index])

    def _sizes(self) -> tuple[int, ...]:
        """Sizes of a thread's scratch memory; see `kernels.scratch`."""
        layers, operations = self.layers, self.operations
        across = layers["width"] + 2 * layers["beside"]
        outputs = layers["rows"] * layers["columns"] * layers["padded_units"]
        single = max(layers["positions"].max(), (operations["rows"] * operations["columns"]).max())
        sizes = (
            (layers["maps"] * layers["results"]).max() * LANES,
            layers["maps"].max(),
            outputs.max() * LANES,
            single * LANES,
            ((layers["height"] + 2 * layers["above"]) * across).max() * LANES,
            ((layers["down"] * across).max() + TILE) * LANES,
        )
        return tuple(int(size) for size in sizes)


def number_activations(network: ConvolutionalNetwork) -> tuple[list[Any], dict[int, int]]:
    """The numba functions of all activations, equal ones once, and the number of each activation by its id."""
    functions: list[Any] = []
    numbers: dict[int, int] = {}
    for activation in network.activations:
        if id(activation) not in numbers:
            function = activation.compiled().activate
            if function not in functions:
                functions.append(function)
            numbers[id(activation)] = functions.index(function)
    return functions, numbers


def base_blocks(trace: MapTrace) -> FloatArray:
    """What the layers find at the base point, (blocks, numbers): of each in turn pre-activation and signal after it."""
    maps = [*zip(trace.pre_activations, trace.signals[1:], strict=True)]
    signals = [*trace.head.signals[1:], trace.head.logits]
    units = [*zip(trace.head.pre_activations, signals, strict=True)]
    return torch.cat([in_blocks(signal) for pair in (*maps, *units) for signal in pair], dim=1).numpy()


def in_blocks(signal: Tensor) -> Tensor:
    """(B, ...) -> (blocks, numbers LANES), samples padded to whole blocks."""
    flat = F.pad(signal.flatten(1), (0, 0, 0, -len(signal) % LANES))
    blocks: Tensor = flat.unflatten(0, (-1, LANES)).mT
    return blocks.flatten(1).contiguous()


def weights_of(network: ConvolutionalNetwork, layers: NDArray[Any], tensors: Tensors) -> FloatArray:
    """All weights as kernels read them: for each layer (channels, taps, padded units), windows column by column."""
    weights = [convolution.used(tensors)[0] for convolution in network.convolutions]
    weights += [network.head.used(index, tensors)[0] for index in range(len(network.head.layers))]
    parts = []
    for weight, layer in zip(weights, layers, strict=True):
        by_window = weight.reshape(len(weight), int(layer["channels"]), int(layer["down"]), int(layer["across"]))
        taps = by_window.permute(1, 3, 2, 0).flatten(1, 2)
        parts.append(F.pad(taps, (0, -len(weight) % TILE, 0, -taps.shape[1] % TILE)).flatten())
    return torch.cat(parts).numpy()


def _whole_tiles(number: int) -> int:
    return -(-number // TILE) * TILE
