"""The least work of a layer, and the table of all layers."""

from __future__ import annotations

import numpy as np
import pytest
from benchmarks.inference.layers import Work, least_work, table

from cetacean_inference.engines.openvino import openvino


def _values(*shape: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    return np.ones(shape, np.float32)


def test_a_1x1_convolution_multiplies_each_pixel_with_all_weights() -> None:
    opset = openvino().opset13
    picture = opset.parameter([1, 4, 8, 8], np.float32)
    layer = opset.convolution(picture, _values(16, 4, 1, 1), [1, 1], [0, 0], [0, 0], [1, 1])
    found = least_work(layer, value_bytes=2)
    assert found == Work("1x1 convolutions", 2.0 * 64 * 16 * 4, 2.0 * (256 + 64 + 1024))


def test_a_depthwise_convolution_has_one_kernel_for_each_channel() -> None:
    opset = openvino().opset13
    picture = opset.parameter([1, 4, 8, 8], np.float32)
    layer = opset.group_convolution(picture, _values(4, 1, 1, 3, 3), [1, 1], [1, 1], [1, 1], [1, 1])
    found = least_work(layer, value_bytes=4)
    assert found == Work("depthwise convolutions", 2.0 * 256 * 9, 4.0 * (256 + 36 + 256))


@pytest.mark.parametrize("transposed", [False, True])
def test_a_product_of_matrices_sums_over_the_inner_dimension(transposed: bool) -> None:
    opset = openvino().opset13
    left = opset.parameter([5, 3] if transposed else [3, 5], np.float32)
    layer = opset.matmul(left, _values(5, 7), transposed, False)
    assert least_work(layer, value_bytes=4) == Work("matrix products", 2.0 * 21 * 5, 4.0 * (15 + 35 + 21))


def test_other_layers_are_the_rest() -> None:
    opset = openvino().opset13
    assert least_work(opset.relu(opset.parameter([1, 4], np.float32)), value_bytes=4) == Work("the rest")


def test_the_table_compares_each_kind_with_the_peaks() -> None:
    kinds = {
        "1x1 convolutions": {"ms": 100.0, "gflop": 10.0, "gb": 0.5},
        "matrix products": {"ms": 0.0, "gflop": 0.0, "gb": 0.0},
        "the rest": {"ms": 25.0, "gflop": 0.0, "gb": 0.0},
    }
    shown = table(
        {
            "cpu": "Some Processor",
            "load_average_at_end": 1.5,
            "copy_gb_s": 20.0,
            "peak_gflop_s": {"bf16": 200.0},
            "networks": {"gate, bf16": kinds},
        }
    )
    assert "| gate, bf16 | 1x1 convolutions | 100 | 0.80 | 10.00 | 0.50 | 0.50 | 0.25 |" in shown
    assert "| gate, bf16 | the rest | 25 | 0.20 |  | | |  |" in shown
    assert "| gate, bf16 | all | 125.0 | 1 |" in shown
    assert "matrix products |" not in shown
