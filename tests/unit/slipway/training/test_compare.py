"""What a comparison shows: the order of metrics, the facts that differ, the picture."""

from pathlib import Path

import matplotlib.image
import pytest

from slipway.training import compare
from slipway.training.compare import Difference
from slipway.training.measurements import Measured

ONE = Measured(
    {"rmse": 1.0, "rmse_std": 0.1, "validation_r2": 0.5}, {"alpha": "1"}, "abc", {"numpy": "2.4.6"}, "c0ffee0123456789"
)
TWO = Measured(
    {"rmse": 2.0, "half_std": 3.0},
    {"alpha": "2", "l1": "0"},
    "abc",
    {"numpy": "2.4.6", "pandas": "3.1.1"},
    "c0ffee0123456789",
)


def test_the_metric_that_decides_comes_first() -> None:
    """Then those of a validation, then the others; a spread is no metric, but a metric may end like one."""
    assert compare.list_metrics([ONE, TWO], "rmse") == ["rmse", "validation_r2", "half_std"]


def test_only_what_differs_is_listed() -> None:
    """A parameter or a library that differs, or that one version lacks; never what all share."""
    assert compare.find_differences([ONE, TWO]) == [
        Difference("alpha", ["1", "2"]),
        Difference("l1", ["-", "0"]),
        Difference("library pandas", ["-", "3.1.1"]),
    ]
    assert compare.find_differences([ONE, ONE]) == []


@pytest.mark.parametrize(
    ("metrics", "rows"),
    [(["rmse"], 1), (["rmse", "validation_r2"], 1), ([], 1), (["none"], 1)],
    ids=["one", "two", "none", "unknown"],
)
def test_a_picture_is_drawn_of_any_metrics(tmp_path: Path, metrics: list[str], rows: int) -> None:
    """There is a picture of one metric or several, of versions that lack one, and of none at all."""
    path = tmp_path / "new" / "picture.png"
    compare.draw(path, "a title", [("1 @champion", ONE), ("2", TWO), ("3", Measured())], metrics)
    height, width, _ = matplotlib.image.imread(path).shape

    assert height < 500 * rows
    assert width > 500
