"""No pod has more rights than it needs, whatever is combined."""

from tests.manifests.kustomizing import Object
from tests.manifests.security import find_faults


def test_a_pod_keeps_every_rule(objects: list[Object]) -> None:
    """Each container of each overlay and combination keeps each rule of security.py."""
    assert find_faults(objects) == []
