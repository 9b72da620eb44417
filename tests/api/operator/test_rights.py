"""The chart's rights on a real API server: all that the operator does, and nothing besides."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import yaml
from support.accounts import CHART, Account
from support.live_operator import NOWHERE, OperatorProcess, find, model, settled

from cetacean_tools.demo.kubectl import CommandError, Kubectl
from cetacean_tools.demo.waiting import until

pytestmark = pytest.mark.alone  # one of its operators serves every namespace

Right = tuple[str, str, str, tuple[str, ...]]
"""API group, resource, verb, names."""


def rights(kubectl: Kubectl, namespace: str) -> set[Right]:
    """Everything that whoever kubectl speaks for may do in a namespace."""
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
    """The chart's."""
    return granted(yaml.safe_load((CHART / "files/operator-rules.yaml").read_text()))


@pytest.fixture(scope="module")
def nobody(home: Kubectl, cluster_account: Account) -> Kubectl:
    """A service account without any role: what is left is everyone's."""
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


def test_for_the_cluster_the_rights_are_the_rules(cluster_account: Account, nobody: Kubectl, rules: set[Right]) -> None:
    own = cluster_account.kubectl.namespace
    everyones = rights(nobody, "default")
    assert rights(cluster_account.kubectl, "default") - everyones == rules
    assert rights(cluster_account.kubectl, own) - everyones == rules | lease_rights(cluster_account)


def test_for_a_namespace_the_rights_are_the_rules(
    namespaced_account: Account, nobody: Kubectl, rules: set[Right]
) -> None:
    everyones = rights(nobody, "default")
    (served,) = namespaced_account.served
    account = namespaced_account.kubectl
    assert rights(account, served) - everyones == rules
    assert rights(account, account.namespace) - everyones == lease_rights(namespaced_account)
    assert rights(account, "default") == everyones


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
def test_refused(cluster_account: Account, namespaced: Kubectl, command: tuple[str, ...]) -> None:
    inside = replace(cluster_account.kubectl, namespace=namespaced.namespace)
    with pytest.raises(CommandError) as refused:
        inside(*command, "--validate=false", stdin=json.dumps(POD)) if "-f" in command else inside(*command)
    said = str(refused.value)
    assert "(Forbidden)" in said or "is forbidden" in said
    assert f'User "{cluster_account.user}" cannot' in said


@pytest.mark.parametrize("account", ["cluster_account", "namespaced_account"])
@pytest.mark.parametrize("verb", ["get", "delete"])
def test_no_secret_is_read_or_deleted(
    request: pytest.FixtureRequest, namespaced: Kubectl, account: str, verb: str
) -> None:
    mine: Account = request.getfixturevalue(account)
    secret = f"{verb}-{mine.name}"
    namespaced("create", "secret", "generic", secret, "--from-literal=a=b")
    for namespace in (namespaced.namespace, mine.kubectl.namespace):
        with pytest.raises(CommandError, match=f'User "{mine.user}" cannot {verb} resource "secrets"'):
            replace(mine.kubectl, namespace=namespace)(verb, "secret", secret)
    assert find(namespaced, "secret", secret), "it is there still"


@pytest.mark.parametrize(
    "what",
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
def test_may_not(kubectl: Kubectl, cluster_account: Account, what: tuple[str, str]) -> None:
    verb, resource = what
    resource, _, subresource = resource.partition("/")  # kubectl would take it for a name
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
def test_another_namespace_is_out_of_reach(namespaced_account: Account, command: tuple[str, ...]) -> None:
    inside = replace(namespaced_account.kubectl, namespace="default")
    with pytest.raises(CommandError, match="cannot"):
        inside(*command)


@pytest.fixture(params=["cluster_operator", "namespaced_operator"])
def either(request: pytest.FixtureRequest) -> Iterator[OperatorProcess]:
    """Either way of installing; `running` asserts that neither was refused anything."""
    operator: OperatorProcess = request.getfixturevalue(request.param)
    yield operator
    assert operator.faults() == []


def test_the_rights_suffice_for_a_whole_life(either: OperatorProcess, namespaced: Kubectl) -> None:
    name = either.log.stem.replace("operator-", "life-")
    everything = {**NOWHERE, "autoscaling": {"maxReplicas": 3}, "networkPolicy": {}, "podDisruptionBudget": {}}
    namespaced.apply(model(name, serving=everything))
    settled(namespaced, name)
    assert namespaced.get("horizontalpodautoscaler", name)
    assert namespaced.get("networkpolicy", name)
    assert namespaced.get("poddisruptionbudget", name)
    namespaced.apply(model(name, active="second"))
    settled(namespaced, name)
    until("the autoscaler to go", lambda: find(namespaced, "horizontalpodautoscaler", name) is None, within=20)
    events = namespaced.get("events.events.k8s.io")["items"]
    told = {item["reason"] for item in events if item["regarding"]["name"] == name}
    assert "Promoting" in told
    namespaced("delete", "cetaceanmodel", name)
    until("the children to go", lambda: find(namespaced, "deployment", name) is None, within=40)
