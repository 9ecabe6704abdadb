"""The pod in which a version is tried, made from what each overlay with each combination renders to."""

from slipway.kubernetes.pods import trial_pod
from tests.manifests.kustomizing import Object
from tests.manifests.pods import find, matches


def test_nothing_finds_a_trial(objects: list[Object]) -> None:
    """No Service, budget or Deployment selects the pod of a trial.

    The same policies hold for it, and its server is the version's own.
    """
    if not find(objects, "Deployment"):
        return  # KServe's own
    before = [dict(each) for each in objects]
    *policies, pod = trial_pod.describe(objects, "diabetes", 180)
    template = trial_pod.find_deployment(objects, "diabetes")["spec"]["template"]
    labels = pod["metadata"]["labels"]
    selectors = [
        each["spec"]["selector"]
        for kind in ("Service", "PodDisruptionBudget", "Deployment")
        for each in find(objects, kind)
    ]
    reached = [each for each in selectors if matches(each.get("matchLabels", each), labels)]

    assert reached == []
    assert pod["spec"]["containers"] == template["spec"]["containers"]
    assert pod["metadata"]["annotations"] == template["metadata"]["annotations"]
    assert len(policies) == len(
        [each for each in find(objects, "NetworkPolicy") if each["metadata"]["name"] == "diabetes-model"]
    )
    assert all(matches(policy["spec"]["podSelector"]["matchLabels"], labels) for policy in policies)
    assert [each["metadata"]["name"] for each in policies] in ([], ["diabetes-model-trial"])
    assert pod["spec"]["activeDeadlineSeconds"] > 180
    assert objects == before
