"""The end of a tracking server: last of this folder, since nothing is left."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slipway import tracking

if TYPE_CHECKING:
    from tests.cluster.tracking.conftest import Tracked


def test_a_wrong_word_deletes_nothing(tracked: Tracked) -> None:
    """DATA takes one word; another is a usage error, and nothing is touched."""
    process = tracked.start("undeploy_tracking", "--data", "yes")
    said, _ = process.communicate(timeout=60)

    assert process.returncode == 2
    assert "DATA is 'yes'" in said
    assert tracking.is_deployed(tracked.cluster)


def test_nothing_is_left_when_that_is_wished(tracked: Tracked) -> None:
    """`make undeploy_tracking DATA=delete` leaves no object of it, and no claim to a volume."""
    said = tracked.make("undeploy_tracking", DATA="delete")
    kinds = "all,ingresses,networkpolicies,persistentvolumeclaims,secrets,configmaps,poddisruptionbudgets"
    code, printed = tracked.cluster.ask("get", kinds, "--selector", tracking.LABELS, "--output", "name")

    assert "nothing of it is left" in said
    assert (code, printed) == (0, "No resources found in slipway-test-tracking namespace.")
