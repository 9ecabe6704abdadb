"""A champion and its challenger as `make canary` and `make deploy` render them: who answers whose requests."""

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
import yaml

from slipway import settings
from slipway.kubernetes import manifests, traffic
from slipway.kubernetes.traffic import BY_PODS, BY_WEIGHT, Share
from slipway.registry.model_uri import ModelRef
from slipway.runtimes.base import Prepared
from slipway.runtimes.locks import Lock
from tests.conftest import changed
from tests.manifests import schemas
from tests.manifests.kustomizing import OVERLAYS, Object
from tests.manifests.pods import find, find_pods, matches
from tests.manifests.references import find_dangling
from tests.manifests.test_schemas import VERSIONS

WAYS = {
    "no share": ([], None),
    "by pods": (["monitoring", "network"], Share(BY_PODS)),
    "by pods, which was chosen": (["shares"], Share(BY_PODS)),
    "by weight, which was chosen": (["canary"], Share(BY_WEIGHT, 35)),
    "by weight": (["autoscaling", "gateway", "ingress", "monitoring", "network"], Share(BY_WEIGHT, 35)),
}
Pair = tuple[list[Object], list[Object]]
Deploy = Callable[[str, list[str], Share | None], Pair]


@pytest.fixture(params=[pytest.param((overlay, way), id=f"{overlay}, {way}") for overlay in OVERLAYS for way in WAYS])
def case(request: pytest.FixtureRequest) -> tuple[str, str]:
    """Return an overlay, and a way to share."""
    case: tuple[str, str] = request.param
    return case


@pytest.fixture
def pair(kubectl: None, case: tuple[str, str], deploy: Deploy) -> Pair:  # noqa: ARG001 -- needed
    """Return the objects of champion and challenger."""
    return deploy(case[0], *WAYS[case[1]])


@pytest.fixture(scope="session")
def deploy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deploy]:
    """Return a function that renders a champion of version 3, and its challenger of version 4, once.

    Copy the objects to change them.
    """

    @cache
    def render(overlay: str, components: tuple[str, ...], share: Share | None) -> Pair:
        chosen = changed(
            settings.load(),
            cluster={"context": "team", "namespace": "models", "components": [*components], "gateway": "infra/public"},
        )
        of_both = changed(
            chosen, cluster={"components": traffic.choose_components([*components], share or Share(BY_PODS))}
        )
        champion = manifests.render(chosen, prepare("3"), "slipway/diabetes:v3-0123456789ab", overlay, share)
        challenger = manifests.render_challenger(of_both, prepare("4"), "slipway/diabetes:v4-0123456789ab", overlay, 3)
        assert champion.parents[2] == challenger.parents[2]
        return read(champion), read(challenger)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(manifests, "BUILD", tmp_path_factory.mktemp("build"))
        yield lambda overlay, components, share: render(overlay, tuple(components), share)


def prepare(version: str) -> Prepared:
    """Return a version whose files nobody looks at."""
    return Prepared(
        ModelRef(f"models:/diabetes/{version}", "", "diabetes", version, "0" * 32), Path(), "{}", Lock(Path())
    )


def read(file: Path) -> list[Object]:
    """Return rendered objects."""
    return list(yaml.safe_load_all(file.read_text(encoding="utf-8")))


def select(service: Object, objects: list[Object]) -> list[str]:
    """Return the versions of the pods that a Service asks."""
    annotated = [(pod, pod.owner["spec"]["template"]["metadata"]["annotations"]) for pod in find_pods(objects)]
    return [known["io.slipway/version"] for pod, known in annotated if matches(service["spec"]["selector"], pod.labels)]


def test_a_share_is_what_the_service_asks(pair: Pair, case: tuple[str, str]) -> None:
    """The champion's Service asks its own pods, and only where they share by pods the challenger's, too.

    The challenger's only its own.
    """
    champion, challenger = pair
    ((first,), (second,)) = (find(objects, "Service") for objects in pair)

    assert select(first, champion + challenger) == (["3", "4"] if case[1].startswith("by pods") else ["3"])
    assert select(second, champion + challenger) == ["4"]


def test_nothing_of_the_two_is_mixed_up(pair: Pair) -> None:
    """Each name is unique, each selector finds its own, and all that is deleted with a challenger has its labels."""
    champion, challenger = pair
    names = [(each["kind"], each["metadata"]["name"]) for each in champion + challenger]
    labels = [each["metadata"]["labels"] for each in challenger]

    assert len(names) == len(set(names))
    assert find_dangling(champion + challenger) == []
    assert {each["app.kubernetes.io/component"] for each in labels} == {"challenger"}
    assert {each["app.kubernetes.io/instance"] for each in labels} == {"diabetes"}
    assert {each["app.kubernetes.io/part-of"] for each in labels} == {"slipway"}
    assert "challenger" not in {each["metadata"]["labels"].get("app.kubernetes.io/component") for each in champion}


def test_a_challenger_is_called_as_the_code_looks_for_it(pair: Pair) -> None:
    """Deployment and Service of a challenger have the name by which it is found, and as many pods as were asked for."""
    (deployment,), (service,) = (find(pair[1], kind) for kind in ("Deployment", "Service"))

    assert deployment["metadata"]["name"] == service["metadata"]["name"] == traffic.name("diabetes")
    assert deployment["spec"]["replicas"] == 3


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.usefixtures("kubectl")
def test_a_route_has_the_weights(deploy: Deploy, overlay: str) -> None:
    """A deployment beside a challenger keeps its weight.

    Both sum to 100, as `make canary` patches them, in the route of GATEWAY.
    """
    champion, challenger = deploy(overlay, *WAYS["by weight"])
    (route,) = find(champion, "HTTPRoute")
    backends = route["spec"]["rules"][0]["backendRefs"]
    services = {each["metadata"]["name"] for each in find(champion + challenger, "Service")}

    assert backends == traffic.direct("diabetes", Share(BY_WEIGHT, 35))
    assert sum(each["weight"] for each in backends) == 100
    assert {each["name"] for each in backends} == services
    assert traffic.read(None, route, traffic.name("diabetes")) == Share(BY_WEIGHT, 35)
    assert route["spec"]["parentRefs"] == [{"name": "public", "namespace": "infra"}]


@pytest.mark.parametrize(("components", "share"), WAYS.values(), ids=list(WAYS))
@pytest.mark.usefixtures("kubectl")
def test_a_rollout_does_not_follow_the_share(deploy: Deploy, components: list[str], share: Share | None) -> None:
    """Whether there is a share or none, the champion's pods are the same, so that none of them is replaced for it."""
    champion, _ = deploy("cloud", components, share)
    alone, _ = deploy("cloud", components, None)

    assert find(champion, "Deployment") == find(alone, "Deployment")
    opened = share is not None and share.component not in ["canary", *components]
    assert (find(champion, "Service") != find(alone, "Service")) == opened


@pytest.mark.parametrize("version", VERSIONS)
def test_kubernetes_takes_the_pair(pair: Pair, version: str) -> None:
    """Each object is as Kubernetes' schemas want it."""
    own = [each for objects in pair for each in objects if schemas.is_own(each)]

    assert {each["kind"]: errors for each in own if (errors := schemas.find_errors(each, version))} == {}


def test_the_other_projects_take_theirs(pair: Pair, folder: Path) -> None:
    """Route and monitors are as their definitions want them."""
    others = [each for objects in pair for each in objects if not schemas.is_own(each)]

    assert {each["kind"]: errors for each in others if (errors := schemas.find_custom_errors(each, folder))} == {}
