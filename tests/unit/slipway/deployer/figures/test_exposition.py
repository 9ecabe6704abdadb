"""Prometheus's text format, beside Prometheus's own client."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from slipway.deployer.figures import exposition
from slipway.deployer.figures.exposition import Family

ODD = 'a "quoted" \\ back\\nslash\nand a line } {'


def test_prometheus_reads_what_is_written() -> None:
    """Names, labels of any signs and numbers come back; a metric without values is left out."""
    family = Family("slipway_m", "gauge", "Words", ("column", "version"))
    family.add(0.1, ODD, "3")
    family.add(float("inf"), "", "4")
    text = exposition.write([family, Family("slipway_none", "counter", "None")])
    (read,) = text_string_to_metric_families(text)

    assert [(each.labels, each.value) for each in read.samples] == [
        ({"column": ODD, "version": "3"}, 0.1), ({"column": "", "version": "4"}, float("inf")),
    ]  # fmt: skip
    assert exposition.read(text) == [(each.name, each.labels, each.value) for each in read.samples]


def test_what_is_no_sample_is_left_out() -> None:
    """Comments, pages and half lines are no samples."""
    assert exposition.read('# HELP a b\n<html>\na{b="c"} x\na{\n\na 1\n') == [("a", {}, 1.0)]
