"""The chart grants what docs/security.md lists and the code uses, and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

from cetacean_operator.api.kinds import (
    APPROVALS,
    CHILDREN,
    CRD_CHILDREN,
    EVENTS,
    LEASES,
    MODELS,
    PODS,
    ResourceType,
)

REPOSITORY = Path(__file__).resolve().parents[3]
Rules = list[dict[str, list[str]]]
Rights = dict[tuple[str, str], set[str]]

WATCHED = {"get", "list", "watch"}
OWNED = WATCHED | {"create", "patch", "delete"}


def granted(rules: Rules) -> Rights:
    found: Rights = {}
    for rule in rules:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                assert (group, resource) not in found, f"{resource} stands in two rules"
                found[group, resource] = set(rule["verbs"])
    return found


def documented(table: str) -> Rights:
    """Rows `| group | resources | verbs |…` of a table in docs/security.md."""
    found: Rights = {}
    for row in table.splitlines():
        cells = [cell.strip() for cell in row.strip("|").split("|")]
        if len(cells) < 3 or cells[0] in ("API group", "---"):
            continue
        group = "" if cells[0] == "core" else cells[0].strip("`")
        for resource in re.findall(r"`([^`]+)`", cells[1]):
            found[group, resource] = set(cells[2].split(", "))
    return found


def tables() -> list[str]:
    """The tables of rights: in the served namespaces, and in the operator's own."""
    text = (REPOSITORY / "docs/security.md").read_text()
    return re.findall(r"^\| API group .*\n(?:^\|.*\n)+", text, flags=re.MULTILINE)


def key(resource: ResourceType) -> tuple[str, str]:
    return resource.group, resource.plural


def test_the_rules_are_those_of_the_document(rules: Rules) -> None:
    assert granted(rules) == documented(tables()[0])


def test_the_rules_are_what_the_code_uses(rules: Rules) -> None:
    expected: Rights = {key(resource): OWNED for resource in (*CHILDREN, *CRD_CHILDREN)}
    expected |= {
        key(MODELS): WATCHED | {"patch"},
        (MODELS.group, f"{MODELS.plural}/status"): {"patch"},
        key(PODS): WATCHED,
        key(APPROVALS): WATCHED,
        key(EVENTS): {"create"},
    }
    assert granted(rules) == expected


def test_the_document_adds_only_the_lease_and_its_owner() -> None:
    expected: Rights = {key(LEASES): {"get", "create", "update"}, ("apps", "deployments"): {"get"}}
    assert documented(tables()[1]) == expected


def test_no_right_has_a_wildcard(rules: Rules) -> None:
    for rule in rules:
        assert set(rule) == {"apiGroups", "resources", "verbs"}
        assert "*" not in {*rule["apiGroups"], *rule["resources"], *rule["verbs"]}
        assert not {"secrets", "nodes", "roles", "clusterroles", "serviceaccounts"} & set(rule["resources"])
