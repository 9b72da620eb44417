"""The rights that the chart grants on a real API server suffice for the operator, and there are no others."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import yaml
from support.accounts import CHART, Account
from support.live_operator import UNSCHEDULABLE, OperatorProcess, find, model, wait_until_observed

from cetacean_tools.demo.kubectl import CommandError, Kubectl
from cetacean_tools.demo.waiting import until

pytestmark = pytest.mark.alone  # one of the operators serves every namespace

Right = tuple[str, str, str, tuple[str, ...]]
"""API group, resource, verb, and names if it is limited to some."""


def rights(kubectl: Kubectl, namespace: str) -> set[Right]:
    """Return the rights of kubectl's user in a namespace."""
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": namespace},
    }
    answer = json.loads(kubectl("create", "--validate=false", "-o", "json", "-f", "-", stdin=json.dumps(review)))
    return granted(answer["status"]["resourceRules"])


def granted(rules: list[dict[str, Any]]) -> set[Right]:
    return {
        (group, resource, verb, tuple(rule.get("resourceNames", ())))
        for rule in rules
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


@pytest.fixture(scope="module")
def rules() -> set[Right]:
    """The rights in the chart's file of rules."""
    return granted(yaml.safe_load((CHART / "files/operator-rules.yaml").read_text()))


@pytest.fixture(scope="module")
def nobody(home: Kubectl, cluster_account: Account) -> Kubectl:
    """kubectl as a ServiceAccount without any role, which has only the rights of every user."""
    home("create", "serviceaccount", "nobody")
    token = home("create", "token", "nobody").strip()
    content = yaml.safe_load(cluster_account.kubectl.kubeconfig.read_text())
    content["users"][0]["user"]["token"] = token
    kubeconfig = cluster_account.kubectl.kubeconfig.with_name("nobody.kubeconfig")
    kubeconfig.write_text(yaml.safe_dump(content))
    return replace(cluster_account.kubectl, kubeconfig=kubeconfig)


def lease_rights(account: Account) -> set[Right]:
    group = "coordination.k8s.io"
    named = {(group, "leases", verb, (account.name,)) for verb in ("get", "update")}
    return named | {(group, "leases", "create", ()), ("apps", "deployments", "get", (account.name,))}


def test_an_operator_for_the_cluster_has_the_rights_of_the_rules(
    cluster_account: Account, nobody: Kubectl, rules: set[Right]
) -> None:
    own = cluster_account.kubectl.namespace
    of_everyone = rights(nobody, "default")
    assert rights(cluster_account.kubectl, "default") - of_everyone == rules
    assert rights(cluster_account.kubectl, own) - of_everyone == rules | lease_rights(cluster_account)


def test_an_operator_for_one_namespace_has_the_rights_of_the_rules_there_only(
    namespaced_account: Account, nobody: Kubectl, rules: set[Right]
) -> None:
    of_everyone = rights(nobody, "default")
    (served,) = namespaced_account.served
    account = namespaced_account.kubectl
    assert rights(account, served) - of_everyone == rules
    assert rights(account, account.namespace) - of_everyone == lease_rights(namespaced_account)
    assert rights(account, "default") == of_everyone


POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "p"},
    "spec": {"containers": [{"name": "c", "image": "i:1"}]},
}
REFUSED = {
    "list-secrets": ("get", "secrets"),
    "create-a-pod": ("create", "-f", "-"),
    "delete-a-pod": ("delete", "pod", "any"),
    "delete-a-node": ("delete", "node", "any"),
    "list-namespaces": ("get", "namespaces"),
    "delete-a-resource": ("delete", "cetaceanmodel", "any"),
    "read-crds": ("get", "crds"),
    "mint-tokens": ("create", "token", "default"),
}


@pytest.mark.parametrize("command", REFUSED.values(), ids=REFUSED)
def test_a_forbidden_command_is_refused(
    cluster_account: Account, namespaced: Kubectl, command: tuple[str, ...]
) -> None:
    inside = replace(cluster_account.kubectl, namespace=namespaced.namespace)
    with pytest.raises(CommandError) as refused:
        inside(*command, "--validate=false", stdin=json.dumps(POD)) if "-f" in command else inside(*command)
    message = str(refused.value)
    assert "(Forbidden)" in message or "is forbidden" in message
    assert f'User "{cluster_account.user}" cannot' in message


@pytest.mark.parametrize("account", ["cluster_account", "namespaced_account"])
@pytest.mark.parametrize("verb", ["get", "delete"])
def test_a_secret_can_be_neither_read_nor_deleted(
    request: pytest.FixtureRequest, namespaced: Kubectl, account: str, verb: str
) -> None:
    mine: Account = request.getfixturevalue(account)
    secret = f"{verb}-{mine.name}"
    namespaced("create", "secret", "generic", secret, "--from-literal=a=b")
    for namespace in (namespaced.namespace, mine.kubectl.namespace):
        with pytest.raises(CommandError, match=f'User "{mine.user}" cannot {verb} resource "secrets"'):
            replace(mine.kubectl, namespace=namespace)(verb, "secret", secret)
    assert find(namespaced, "secret", secret), "the secret still exists"


@pytest.mark.parametrize(
    "right",
    [
        ("create", "pods/exec"),
        ("get", "pods/log"),
        ("get", "pods/proxy"),
        ("patch", "deployments/scale"),
        ("patch", "deployments/status"),
        ("update", "cetaceanmodels"),
        ("patch", "cetaceanmodels/scale"),
        ("update", "cetaceanmodels/status"),
        ("get", "events"),
        ("list", "leases.coordination.k8s.io"),
        ("create", "rolebindings"),
        ("patch", "serviceaccounts"),
        ("impersonate", "users"),
        ("*", "*"),
    ],
    ids=" ".join,
)
def test_the_operator_has_no_right_to(kubectl: Kubectl, cluster_account: Account, right: tuple[str, str]) -> None:
    verb, resource = right
    resource, _, subresource = resource.partition("/")  # after a slash kubectl expects a name
    with pytest.raises(CommandError, match="exited 1: no"):
        kubectl(
            "auth",
            "can-i",
            verb,
            resource,
            f"--subresource={subresource}",
            f"--as={cluster_account.user}",
            "--all-namespaces",
        )


@pytest.mark.parametrize("command", [("get", "cetaceanmodels"), ("get", "pods"), ("delete", "deployment", "any")])
def test_an_operator_for_one_namespace_has_no_rights_in_another(
    namespaced_account: Account, command: tuple[str, ...]
) -> None:
    inside = replace(namespaced_account.kubectl, namespace="default")
    with pytest.raises(CommandError, match="cannot"):
        inside(*command)


@pytest.fixture(params=["cluster_operator", "namespaced_operator"])
def either(request: pytest.FixtureRequest) -> Iterator[OperatorProcess]:
    """Each of the two operators; none of its requests may be forbidden."""
    operator: OperatorProcess = request.getfixturevalue(request.param)
    yield operator
    assert operator.faults() == []


def test_the_rights_suffice_from_creation_to_deletion(either: OperatorProcess, namespaced: Kubectl) -> None:
    name = either.log.stem.replace("operator-", "life-")
    everything = {**UNSCHEDULABLE, "autoscaling": {"maxReplicas": 3}, "networkPolicy": {}, "podDisruptionBudget": {}}
    namespaced.apply(model(name, serving=everything))
    wait_until_observed(namespaced, name)
    assert namespaced.get("horizontalpodautoscaler", name)
    assert namespaced.get("networkpolicy", name)
    assert namespaced.get("poddisruptionbudget", name)
    namespaced.apply(model(name, active="second"))
    wait_until_observed(namespaced, name)
    until("the autoscaler to go", lambda: find(namespaced, "horizontalpodautoscaler", name) is None, within=20)
    events = namespaced.get("events.events.k8s.io")["items"]
    reasons = {item["reason"] for item in events if item["regarding"]["name"] == name}
    assert "Promoting" in reasons
    namespaced("delete", "cetaceanmodel", name)
    until("the children to go", lambda: find(namespaced, "deployment", name) is None, within=40)
