"""Names and selectors meet what they mean, after prefix and labels were added."""

from slipway.kubernetes import manifests
from tests.manifests.kustomizing import COMBINATIONS, MANIFESTS, Object
from tests.manifests.pods import find
from tests.manifests.references import find_dangling


def test_nothing_dangles(objects: list[Object]) -> None:
    """Each reference meets an object that is rendered with it, and each Deployment has its Service and its budget."""
    assert find_dangling(objects) == []


def test_a_deployment_can_be_told_apart(objects: list[Object]) -> None:
    """Each object lies in the namespace, has the model's prefix and label, and says which version it belongs to.

    No two have one name.
    """
    names = [(each["kind"], each["metadata"]["name"]) for each in objects]

    assert {each["metadata"]["namespace"] for each in objects} == {"slipway"}
    assert [name for _, name in names if not name.startswith("diabetes-")] == []
    assert {each["metadata"]["labels"]["app.kubernetes.io/instance"] for each in objects} == {"diabetes"}
    assert {each["metadata"]["labels"]["app.kubernetes.io/part-of"] for each in objects} == {"slipway"}
    assert {each["metadata"]["annotations"]["io.slipway/version"] for each in objects} == {"3"}
    assert len(names) == len(set(names))


def test_a_model_is_found_by_its_name(objects: list[Object]) -> None:
    """Whatever brings requests from outside takes /model and the model's name."""
    ingresses = [
        path["path"] for each in find(objects, "Ingress") for path in each["spec"]["rules"][0]["http"]["paths"]
    ]
    routes = [
        match["path"]["value"] for each in find(objects, "HTTPRoute") for match in each["spec"]["rules"][0]["matches"]
    ]

    assert ingresses in ([], ["/model", "/diabetes"])
    assert routes in ([], ["/model", "/diabetes"])


def test_every_component_is_rendered() -> None:
    """Each of Slipway's components is there, and in a combination, alone or on top of what it needs.

    A folder of the user's need not be.
    """
    folders = {
        path.parent.name for path in (MANIFESTS / "components").glob("*/kustomization.yaml")
    } & manifests.STANDARD

    assert folders == manifests.STANDARD
    assert folders == {name for names in COMBINATIONS.values() for name in names}
    assert {names[-1] for names in COMBINATIONS.values() if 0 < len(names) <= 2} == folders
    assert [name for name in folders if not (MANIFESTS / "components" / name / "README.md").exists()] == []
