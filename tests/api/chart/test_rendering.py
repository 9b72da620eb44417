"""The output of the operator's chart. Needs helm, no cluster."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from support.operator_world import World, manifest
from support.snapshots import check

from cetacean_operator.api import names
from cetacean_operator.settings import Settings

from .conftest import CHART, EVERYTHING, MODEL_CHART, REPOSITORY, RefusedError, Render, Rendered

SNAPSHOTS = Path(__file__).with_name("snapshots")


def pods(rendered: Rendered) -> list[dict[str, Any]]:
    """Return the templates of Deployments, and the Pods."""
    return [item["spec"]["template"] for item in rendered.of_kind("Deployment")] + rendered.of_kind("Pod")


def operator(rendered: Rendered) -> dict[str, Any]:
    (container,) = rendered.one("Deployment")["spec"]["template"]["spec"]["containers"]
    return dict(container)


def selects(selector: dict[str, str], labels: dict[str, str]) -> bool:
    return selector.items() <= labels.items()


def test_helm_lint_finds_nothing(helm: Path) -> None:
    done = subprocess.run([helm, "lint", "--strict", CHART], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[WARNING]" not in done.stdout


@pytest.mark.parametrize(
    ("name", "values"),
    [("defaults", {"crds": {"install": False}}), ("everything", EVERYTHING)],
    ids=["defaults", "everything"],
)
def test_the_output_equals_the_snapshot(render: Render, name: str, values: dict[str, Any], tmp_path: Path) -> None:
    check(SNAPSHOTS / f"{name}.yaml", render(values, "--skip-tests").text, tmp_path)


def test_the_crd_is_the_generated_one_and_is_kept_by_helm(render: Render) -> None:
    generated = [yaml.safe_load(file.read_text()) for file in sorted((REPOSITORY / "crds").glob("*.yaml"))]
    found = render().of_kind("CustomResourceDefinition")
    for rendered in found:
        assert rendered["metadata"].pop("annotations") == {"helm.sh/resource-policy": "keep"}
        assert rendered["metadata"].pop("labels")
    assert sorted(found, key=lambda one: str(one["metadata"]["name"])) == generated
    assert not render({"crds": {"install": False}}).of_kind("CustomResourceDefinition")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"replica": 2}, "'replica' not allowed"),
        ({"image": {"repo": "x"}}, "at '/image': additional properties 'repo' not allowed"),
        ({"securityContext": {"readOnlyRootFileSystem": True}}, "'readOnlyRootFileSystem' not allowed"),
        ({"settings": {"workers": 0}}, "at '/settings/workers'"),
        ({"replicas": 2, "leaderElection": {"enabled": False}}, "at '/replicas': maximum: got 2, want 1"),
    ],
    ids=str,
)
def test_helm_names_the_wrong_value(render: Render, values: dict[str, Any], message: str) -> None:
    with pytest.raises(RefusedError, match="values don't meet the specifications") as refused:
        render(values)
    assert message in str(refused.value)


MONITORS = ("serviceMonitor", "podMonitor", "models.podMonitor")


def monitor_values(monitor: str, **given: str) -> dict[str, Any]:
    values: dict[str, Any] = {"enabled": True, **given}
    for name in reversed(monitor.split(".")):
        values = {name: values}
    return {"metrics": values}


@pytest.mark.parametrize("monitor", MONITORS)
@pytest.mark.parametrize(
    ("interval", "timeout", "got"),
    [
        ("5s", None, "10s"),
        (None, "60s", "60s"),
        ("1m", "1m1ms", "1m1ms"),
        ("010s", "10s1ms", "10s1ms"),
        ("1h", "61m", "61m"),
    ],
)
def test_a_timeout_above_the_interval_of_a_monitor_is_rejected(
    render: Render, monitor: str, interval: str | None, timeout: str | None, got: str
) -> None:
    """The Prometheus Operator leaves such a monitor out."""
    given = {"interval": interval, "scrapeTimeout": timeout}
    with pytest.raises(RefusedError) as refused:
        render(monitor_values(monitor, **{name: value for name, value in given.items() if value}))
    expected = f"metrics.{monitor}.scrapeTimeout: expected at most the interval, {interval or '30s'}, got {got}"
    assert expected in str(refused.value)


@pytest.mark.parametrize("monitor", MONITORS)
@pytest.mark.parametrize(("interval", "timeout"), [("5s", "5s"), ("1m", "60s"), ("1h30m", "90m"), ("08s", "8000ms")])
def test_a_timeout_up_to_the_interval_is_rendered(render: Render, monitor: str, interval: str, timeout: str) -> None:
    text = render(monitor_values(monitor, interval=interval, scrapeTimeout=timeout)).text
    assert f"interval: {interval}\n" in text
    assert f"scrapeTimeout: {timeout}\n" in text


@pytest.mark.parametrize(
    ("given", "got"),
    [
        ({"leaseDuration": 5}, "2 / 10 / 5"),
        ({"renewDeadline": 15}, "2 / 15 / 15"),
        ({"retryPeriod": 8.5}, "8.5 / 10 / 15"),
        ({"renewDeadline": 2.4}, "2 / 2.4 / 15"),
    ],
)
def test_times_of_the_leader_election_that_end_the_process_are_rejected(
    render: Render, monkeypatch: pytest.MonkeyPatch, given: dict[str, float], got: str
) -> None:
    with pytest.raises(RefusedError) as refused:
        render({"leaderElection": given})
    expected = f"leaderElection: expected 1.2 x retryPeriod < renewDeadline < leaseDuration, got {got}"
    assert expected in str(refused.value)
    rendered = render({"leaderElection": {**given, "enabled": False}}).text
    assert "LEASE_DURATION" not in rendered, "nobody reads them then"
    names_of = {"leaseDuration": "DURATION", "renewDeadline": "RENEW_DEADLINE", "retryPeriod": "RETRY_PERIOD"}
    for name, value in given.items():
        monkeypatch.setenv(f"CETACEAN_OPERATOR_LEASE_{names_of[name]}", str(value))
    with pytest.raises(ValueError, match=r"expected 1\.2 x lease_retry_period"):
        Settings()


OWN = dict.fromkeys(
    (
        *(names.LABEL_NAME, names.LABEL_INSTANCE, names.LABEL_MANAGED_BY, "app.kubernetes.io/version", "helm.sh/chart"),
        *("rbac.authorization.k8s.io/aggregate-to-view", "rbac.authorization.k8s.io/aggregate-to-admin"),
    ),
    "ours",
)
"""Labels that the chart sets itself, with other values."""
COMMON = {**OWN, "team": "all", "zone": "sea", "empty": "no"}
SPECIFIC = {**OWN, "team": "some", "empty": ""}
WITH_LABELS_OF_THEIR_OWN = {"ServiceMonitor", "PodMonitor", "PrometheusRule", "ConfigMap"}


def labelled(render: Render, monitor: str, labels: dict[str, str], common: dict[str, str]) -> list[dict[str, Any]]:
    """Return all objects of the chart with these labels, and with one of the monitors that exclude each other."""
    on = {"enabled": True, "labels": labels}
    metrics = {monitor: on, "models": {"podMonitor": on}, "prometheusRule": on, "dashboards": on}
    more = {"approvalPolicy": {"enabled": True}, "networkPolicy": {"enabled": True}, "podLabels": labels}
    return render({"commonLabels": common, "metrics": metrics, **more}).objects


@pytest.mark.parametrize("monitor", ["serviceMonitor", "podMonitor"])
def test_the_charts_own_labels_win_and_then_the_more_specific_ones(render: Render, monitor: str) -> None:
    """The fixture refuses an output that has a key twice."""
    before, after = labelled(render, monitor, {}, {}), labelled(render, monitor, SPECIFIC, COMMON)
    for plain, found in zip(before, after, strict=True):
        is_specific = found["kind"] in WITH_LABELS_OF_THEIR_OWN
        own = plain["metadata"]["labels"]
        expected = {"zone": "sea", "team": "some" if is_specific else "all", "empty": "" if is_specific else "no"}
        assert found["metadata"]["labels"] == {**OWN, **expected, **own}, found["kind"]


def test_an_annotation_of_the_pods_is_rendered_once(render: Render) -> None:
    given = {"kubectl.kubernetes.io/default-container": "mesh", "note": "x"}
    (pod,) = pods(render({"podAnnotations": given}, "--skip-tests"))
    assert pod["metadata"]["annotations"] == given


@pytest.mark.parametrize("name", ["123", "1e3", "0x10"])
def test_a_name_of_digits_stays_a_text(render: Render, name: str) -> None:
    keys = ("priorityClassName", "fullnameOverride", "serviceAccount.name", "image.repository", "watchNamespaces[0]")
    flags = [f"--namespace={name}", *(f"--set-string={key}={name}" for key in keys)]
    on = {"enabled": True}
    values = {**EVERYTHING, "metrics": {**EVERYTHING["metrics"], "prometheusRule": on, "dashboards": on}}
    model = {"spec": yaml.safe_load((REPOSITORY / "examples/full.yaml").read_text())["spec"]}
    namespace, of_model = flags[0], f"--set-string=name={name}"
    texts = [
        render(values, *flags, release=name).text,
        render({"crds": {"install": False}}, namespace, release=name).text,
        render(model, namespace, release=name, chart=MODEL_CHART).text,
        render(model, namespace, of_model, chart=MODEL_CHART).text,
    ]
    # As text, because parsers disagree about what is a number.
    bare = re.compile(rf"^.*(?:: |- |\[){name}(?:\s*$|\]).*$", re.MULTILINE)
    assert [line for text in texts for line in bare.findall(text)] == []
    assert all(f'"{name}"' in text for text in texts)


def test_large_numbers_stay_integers(render: Render) -> None:
    large = {"terminationGracePeriodSeconds": 1_000_000, "podDisruptionBudget": {"maxUnavailable": 1_000_000}}
    rendered = render({**large, "replicas": 1_000_000})
    deployment = rendered.one("Deployment")["spec"]
    assert deployment["replicas"] == 1_000_000
    assert deployment["template"]["spec"]["terminationGracePeriodSeconds"] == 1_000_000
    assert rendered.one("PodDisruptionBudget")["spec"]["maxUnavailable"] == 1_000_000
    share = render({"podDisruptionBudget": {"maxUnavailable": "50%"}})
    assert share.one("PodDisruptionBudget")["spec"]["maxUnavailable"] == "50%"


@pytest.mark.parametrize(
    ("path", "missing"),
    [
        ("networkPolicy.apiServerPorts", "at '/networkPolicy': missing property 'apiServerPorts'"),
        ("networkPolicy", "missing property 'networkPolicy'"),
        ("leaderElection.enabled", "at '/leaderElection': missing property 'enabled'"),
        ("podSecurityContext", "missing property 'podSecurityContext'"),
        ("metrics.serviceMonitor.interval", "at '/metrics/serviceMonitor': missing property 'interval'"),
    ],
)
def test_helm_names_the_value_that_null_removes(render: Render, path: str, missing: str) -> None:
    with pytest.raises(RefusedError, match="values don't meet the specifications") as refused:
        render({}, f"--set-json={path}=null")
    assert missing in str(refused.value)


def test_without_ports_the_network_policy_has_no_rule_for_the_api_server(render: Render) -> None:
    values = {"networkPolicy": {"enabled": True, "apiServerPorts": []}}
    (policy,) = render(values, "--skip-schema-validation").of_kind("NetworkPolicy")
    dns, models = policy["spec"]["egress"]
    assert [port["port"] for port in (*dns["ports"], *models["ports"])] == [53, 53, 8080]


def test_the_operator_reads_the_settings_of_the_values(render: Render, monkeypatch: pytest.MonkeyPatch) -> None:
    values = {
        "watchNamespaces": ["a", "b"],
        "settings": {
            "workers": 64,
            "resyncInterval": 1e7,
            "backoffBase": 0.125,
            "scrapeMaxBytes": 123456789,
            "logLevel": "DEBUG",
            "logFormat": "text",
        },
        "leaderElection": {"leaseDuration": 30, "renewDeadline": 20.5, "retryPeriod": 3},
    }
    environment = {item["name"]: item.get("value", "pod") for item in operator(render(values))["env"]}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    settings = Settings()
    assert settings.namespaces == ("a", "b")
    assert (settings.workers, settings.resync_interval, settings.backoff_base) == (64, 1e7, 0.125)
    assert (settings.scrape_max_bytes, settings.log_level, settings.log_format) == (123456789, "DEBUG", "text")
    assert (settings.lease_duration, settings.lease_renew_deadline, settings.lease_retry_period) == (30, 20.5, 3)
    assert settings.lease_name == "whales-cetacean-operator"
    unknown = {name for name in environment if name.startswith("CETACEAN_OPERATOR_")} - {
        f"CETACEAN_OPERATOR_{name.upper()}" for name in Settings.model_fields
    }
    assert not unknown


def test_ports_and_probes_are_those_of_the_settings(render: Render) -> None:
    container, fields = operator(render()), Settings.model_fields
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"metrics": fields["metrics_port"].default, "probes": fields["probes_port"].default}
    assert container["livenessProbe"]["httpGet"] == {"path": "/healthz", "port": "probes"}
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "probes"}
    assert container["args"] == ["run"]


@pytest.mark.parametrize("values", [{}, EVERYTHING, {"fullnameOverride": "other"}], ids=["defaults", "all", "name"])
def test_selectors_match_only_the_operators_pods(render: Render, values: dict[str, Any]) -> None:
    rendered = render(values)
    deployment = rendered.one("Deployment")
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert labels[names.LABEL_NAME] == names.MANAGER, "the NetworkPolicies of models admit pods with this label"
    selectors = [
        deployment["spec"]["selector"]["matchLabels"],
        *(item["spec"]["selector"]["matchLabels"] for item in rendered.of_kind("PodDisruptionBudget")),
        *(item["spec"]["selector"] for item in rendered.of_kind("Service")),
        *(item["spec"]["podSelector"]["matchLabels"] for item in rendered.of_kind("NetworkPolicy")),
    ]
    assert len(selectors) >= 3
    (test_pod,) = rendered.of_kind("Pod")
    for selector in selectors:
        assert selects(selector, labels)
        assert not selects(selector, test_pod["metadata"]["labels"])


def test_the_service_monitor_selects_the_metrics_service(render: Render) -> None:
    rendered = render({"metrics": {"serviceMonitor": {"enabled": True}}})
    service, monitor = rendered.one("Service"), rendered.one("ServiceMonitor")
    assert selects(monitor["spec"]["selector"]["matchLabels"], service["metadata"]["labels"])
    (endpoint,) = monitor["spec"]["endpoints"]
    assert endpoint["port"] in {port["name"] for port in service["spec"]["ports"]}
    assert endpoint["honorLabels"] is True


def test_the_pod_monitor_selects_the_operators_pods_without_a_service(render: Render) -> None:
    values = {"metrics": {"service": {"enabled": False}, "podMonitor": {"enabled": True, "interval": "15s"}}}
    rendered = render(values)
    assert not rendered.of_kind("Service")
    template, monitor = rendered.one("Deployment")["spec"]["template"], rendered.one("PodMonitor")
    assert selects(monitor["spec"]["selector"]["matchLabels"], template["metadata"]["labels"])
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    assert endpoint["port"] in {port["name"] for port in template["spec"]["containers"][0]["ports"]}
    assert (endpoint["interval"], endpoint["honorLabels"]) == ("15s", True)


@pytest.mark.parametrize(
    ("served", "selector"), [([], {"any": True}), (["a", "b"], {"matchNames": ["a", "b"]})], ids=["all", "two"]
)
def test_one_pod_monitor_selects_the_pods_of_all_models_in_the_served_namespaces(
    render: Render, served: list[str], selector: dict[str, Any]
) -> None:
    given = {"enabled": True, "relabelings": [{"targetLabel": "sea", "replacement": "north"}]}
    spec = render({"watchNamespaces": served, "metrics": {"models": {"podMonitor": given}}}).one("PodMonitor")["spec"]
    assert spec["namespaceSelector"] == selector
    assert spec["selector"] == {"matchExpressions": [{"key": names.LABEL_MODEL, "operator": "Exists"}]}
    (endpoint,) = spec["podMetricsEndpoints"]
    assert endpoint["port"] == names.PORT_NAME
    # The label `service`, as the targets of a ServiceMonitor have it.
    container, own, candidate, *others = endpoint["relabelings"]
    assert (container["regex"], container["action"]) == ("serve", "keep"), "not a container that a webhook has added"
    label = re.sub(r"[^a-z]", "_", names.LABEL_MODEL)
    assert own == {"sourceLabels": [f"__meta_kubernetes_pod_label_{label}"], "targetLabel": "service"}
    assert (
        re.sub(candidate["regex"], candidate["replacement"].replace("$1", r"\1"), "whales_candidate")
        == "whales-candidate"
    )
    assert (candidate["sourceLabels"], candidate["targetLabel"]) == (["service"], "service")
    assert others == given["relabelings"]


def test_the_pod_monitor_of_the_models_bounds_what_prometheus_takes_as_a_models_own_monitor_does(
    render: Render,
) -> None:
    """Whoever may create pods may give one the label by which it selects."""
    given = render({"metrics": {"models": {"podMonitor": {"enabled": True}}}}).one("PodMonitor")["spec"]
    made = World(manifest(serving={"serviceMonitor": {}}), served_kinds=frozenset({"ServiceMonitor"}))
    made.settle()
    own = made.children["ServiceMonitor", "whales"]["spec"]
    bounds = {name for name in own if name.endswith("Limit")}
    assert len(bounds) == 4
    assert {name: given[name] for name in bounds} == {name: own[name] for name in bounds}


def test_alerts_keep_the_templates_of_prometheus(render: Render) -> None:
    groups = render({"metrics": {"prometheusRule": {"enabled": True}}}).one("PrometheusRule")["spec"]["groups"]
    files = sorted((CHART / "rules").glob("*.yaml"))
    texts = [file.read_text().replace('namespace=~".+"', 'namespace="system"') for file in files]
    assert groups == [group for text in texts for group in yaml.safe_load(text)["groups"]]
    assert "{{ $labels.name }}" in str(groups)


def test_each_dashboard_gets_a_config_map(render: Render) -> None:
    rendered = render({"metrics": {"dashboards": {"enabled": True}}})
    held = {name: text for item in rendered.of_kind("ConfigMap") for name, text in item["data"].items()}
    files = {file.name: file.read_text() for file in (CHART / "dashboards").glob("*.json")}
    assert {name: text.strip() for name, text in held.items()} == {name: text.strip() for name, text in files.items()}


@pytest.mark.parametrize("kind", ["ServiceMonitor", "PodMonitor", "PrometheusRule", "NetworkPolicy", "ConfigMap"])
def test_optional_kinds_are_off_by_default(render: Render, kind: str) -> None:
    assert not render().of_kind(kind)


def test_everything_but_the_deployment_can_be_turned_off(render: Render) -> None:
    off = {"create": False}
    values = {
        "crds": {"install": False},
        "serviceAccount": off,
        "rbac": {**off, "aggregate": False},
        "podDisruptionBudget": {"enabled": False},
        "metrics": {"service": {"enabled": False}},
    }
    rendered = render(values, "--skip-tests")
    assert [item["kind"] for item in rendered.objects] == ["Deployment"]
    assert rendered.one("Deployment")["spec"]["template"]["spec"]["serviceAccountName"] == "default"


@pytest.mark.parametrize(
    ("values", "texts"),
    [
        ({}, ["in every namespace", "helm test whales --namespace system", "--all-namespaces", "they go on serving"]),
        ({"watchNamespaces": ["a", "b"]}, ["in a, b", "apply -f examples/minimal.yaml --namespace a"]),
        ({"crds": {"install": False}}, ["kubectl apply --server-side -f crds/"]),
    ],
    ids=["defaults", "namespaces", "crd"],
)
def test_the_notes_name_the_next_command(helm: Path, values: dict[str, Any], texts: list[str]) -> None:
    command: list[str | Path] = [
        helm,
        "install",
        "whales",
        CHART,
        "--namespace",
        "system",
        "--dry-run=client",
        "--values",
        "-",
    ]
    given = yaml.safe_dump(values)
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=True, timeout=60)
    notes = done.stdout.partition("NOTES:\n")[2]
    assert [text for text in texts if text not in notes] == []
    named = re.findall(r"-f ([\w./-]+)", notes)
    assert all((REPOSITORY / path).exists() for path in named)


def test_without_leader_election_the_deployment_is_recreated_and_there_is_no_lease_role(render: Render) -> None:
    rendered = render({"leaderElection": {"enabled": False}})
    assert rendered.one("Deployment")["spec"]["strategy"] == {"type": "Recreate"}
    assert not [role for role in rendered.of_kind("Role") if role["metadata"]["name"].endswith("-lease")]


def test_with_watched_namespaces_there_are_roles_and_no_cluster_roles(render: Render) -> None:
    rendered = render({"watchNamespaces": ["a", "b"], "rbac": {"aggregate": False}})
    assert not rendered.of_kind("ClusterRole")
    assert not rendered.of_kind("ClusterRoleBinding")
    roles = {role["metadata"]["namespace"] for role in rendered.of_kind("Role")}
    assert roles == {"a", "b", "system"}
    for binding in rendered.of_kind("RoleBinding"):
        (subject,) = binding["subjects"]
        assert subject["namespace"] == "system"


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ({"tag": "t"}, "cetacean-operator:t"),
        ({"repository": "localhost/o", "tag": "t", "digest": "sha256:" + "0" * 64}, "localhost/o@sha256:" + "0" * 64),
    ],
    ids=["tag", "digest"],
)
def test_the_image_is_the_one_in_the_values(render: Render, image: dict[str, str], expected: str) -> None:
    for pod in pods(render({"image": image})):
        assert [container["image"] for container in pod["spec"]["containers"]] == [expected]


@pytest.mark.parametrize(
    ("release", "name"),
    [
        ("cetacean-operator", "cetacean-operator"),
        ("whales", "whales-cetacean-operator"),
        ("w" * 53, "w" * 32 + "-cetacean-operator"),
    ],
)
def test_names_have_at_most_63_characters_for_any_release(render: Render, release: str, name: str) -> None:
    rendered = render(release=release)
    assert rendered.one("Deployment")["metadata"]["name"] == name
    assert max(len(item["metadata"]["name"]) for item in rendered.objects) <= 63
