"""Clients outside of the cluster reach a model through a real Gateway, and a canary gets its share of their requests."""

from __future__ import annotations

import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from typing import Any, Self

import httpx
import pytest
from scipy.stats import binom
from support import gateway
from support.gateway import Gateway
from support.hung_pod import hang

from cetacean_operator.api.names import candidate_label, candidate_name
from cetacean_operator.api.route import Route
from cetacean_operator.decisions.route import http_route
from cetacean_tools.demo.environment import Environment, Installed
from cetacean_tools.demo.waiting import until
from cetacean_tools.local_cluster.use import choose

NAME = "routed"
HOST = "whales.example.org"
STABLE, CANDIDATE = "demo_v1", "demo_v2"
"""The models of the resource and of its candidate."""
REQUESTS = 1000
CHANCE = 1e-6
"""That a right weight fails a test."""
CLIENT_SECONDS = 5.0
"""A client gives up then."""
GONE_SECONDS = 45.0
"""The kubelet's probe has failed three times in 15 to 20 seconds, and the machine has other work to do."""


@pytest.fixture(scope="module")
def there(operator: Installed) -> Iterator[Gateway]:
    """A Gateway that takes the names below example.org from every namespace."""
    with gateway.running(operator.kubectl, f"gateway-{uuid.uuid4().hex[:8]}", gateway.load_images(choose())) as started:
        yield started


@pytest.fixture(scope="module")
def routed(environment: Environment, there: Gateway) -> Iterator[Environment]:
    """A model with a route, and a second one under the name of its candidate."""
    route = {"parentRefs": [there.parent], "hostnames": [HOST], "requestTimeout": "60s"}
    environment.kubectl.apply(environment.manifest(NAME, active=STABLE, replicas=1, serving={"route": route}))
    environment.kubectl.apply(environment.manifest(candidate_name(NAME), active=CANDIDATE, replicas=1))
    for name in (NAME, candidate_name(NAME)):
        environment.wait_for_condition(name, "Ready", "True")
    yield environment
    environment.kubectl("delete", gateway.ROUTES, "--all")
    environment.kubectl("delete", "cetaceanmodel", NAME, candidate_name(NAME), "--wait=true")


def version_of(answer: httpx.Response) -> str:
    answer.raise_for_status()
    return str(answer.headers["X-Model-Version"])


def shared(there: Gateway, host: str, canary_weight: int) -> dict[str, Any]:
    """Return an HTTPRoute that gives the candidate its share of one host's requests."""
    route = Route.model_validate({"parentRefs": [there.parent], "hostnames": [host]})
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": host},
        **http_route(NAME, route, canary_weight=canary_weight),
    }


def health(there: Gateway, host: str) -> httpx.Response:
    return there.client.get("/health", headers={"Host": host})


def test_the_route_alone_serves_predictions_through_the_gateway(routed: Environment, there: Gateway) -> None:
    message = routed.wait_for_condition(NAME, "RouteAccepted", "True")["message"]
    assert message == f"accepted by Gateway {there.namespace}/gateway"
    until("Envoy to know the route", lambda: health(there, HOST).status_code == 200)
    picture = routed.models.cetaceans[0]
    answer = there.client.post(
        "/v1/predict-single",
        files={"file": (picture.name, picture.read_bytes(), "image/jpeg")},
        headers={"Host": HOST},
    )
    assert version_of(answer) == routed.registry.model(STABLE).version
    assert answer.json() == routed.service(NAME).predict(picture), "the same as without the Gateway"


@pytest.mark.usefixtures("routed")
@pytest.mark.parametrize(
    ("host", "path"),
    [(HOST, "/metrics"), (HOST, "/v1/identity"), (HOST, "/v1/predict-shadow"), ("other.example.org", "/health")],
)
def test_other_paths_and_names_are_not_routed(there: Gateway, host: str, path: str) -> None:
    assert there.client.get(path, headers={"Host": host}).status_code == 404


@pytest.mark.parametrize("weight", [0, 10, 50, 100])
def test_the_share_of_a_canary_is_that_of_its_weight(routed: Environment, there: Gateway, weight: int) -> None:
    host = f"canary-{weight}.example.org"
    routed.kubectl.apply(shared(there, host, weight))
    until("Envoy to know the route", lambda: health(there, host).status_code == 200)
    answered = Counter(version_of(health(there, host)) for _ in range(REQUESTS))
    stable, candidate = (routed.registry.model(name).version for name in (STABLE, CANDIDATE))
    assert set(answered) <= {stable, candidate}
    low, high = binom.ppf((CHANCE / 2, 1 - CHANCE / 2), REQUESTS, weight / 100)
    assert low <= answered[candidate] <= high, f"{answered}, expected {low:.0f}..{high:.0f} of {candidate}"


def test_a_canary_stage_gets_its_weight_and_no_request_fails_when_it_is_taken_back(
    environment: Environment, there: Gateway
) -> None:
    name, host, version = "staged-by-route", "staged.example.org", "1.0.9"
    rebuilt = environment.copy_of(STABLE, name="demo_rebuilt", version=version)
    # So many requests that the stage does not end before the share is counted.
    stage = {"canary": {"weight": 25, "require": {"requests": 1_000_000}}, "timeoutSeconds": 3600}

    def mirror(active: str) -> None:
        route = {"parentRefs": [there.parent], "hostnames": [host]}
        manifest = environment.manifest(name, active=active, added=(rebuilt,), replicas=1, serving={"route": route})
        manifest["spec"]["rollout"] = {"stages": [stage]}
        environment.kubectl.apply(manifest)

    def answered_by(requests: int) -> Counter[str]:
        return Counter(version_of(health(there, host)) for _ in range(requests))

    mirror(STABLE)
    environment.wait_for_condition(name, "Ready", "True")
    until("Envoy to know the route", lambda: health(there, host).status_code == 200)
    mirror(rebuilt.name)
    environment.wait_for_condition(name, "CandidatePassed", "Unknown", mentions="(Canary)")
    until("the candidate to answer clients", lambda: version in answered_by(20))
    answered = answered_by(REQUESTS)
    low, high = binom.ppf((CHANCE / 2, 1 - CHANCE / 2), REQUESTS, 0.25)
    assert low <= answered[version] <= high, f"{answered}, expected {low:.0f}..{high:.0f} of {version}"

    mirror(STABLE)
    # Each of these requests must be answered, while the weights change and the candidate's pod ends.
    until("only what serves to answer", lambda: set(answered_by(100)) == {environment.registry.model(STABLE).version})
    until("the candidate to be gone", lambda: answered_by(20) and not candidate_left(environment, name))
    environment.kubectl("delete", "cetaceanmodel", name, "--wait=false")


class Clients:
    """Clients that send one request after the other to a host, each within its time, and count what they get."""

    def __init__(self, there: Gateway, host: str, *, clients: int, seconds: float) -> None:
        self._there, self._host, self._seconds = there, host, seconds
        self._ended, self._lock = threading.Event(), threading.Lock()
        self._threads = [threading.Thread(target=self._ask, daemon=True) for _ in range(clients)]
        self.sent = 0
        self.failures: list[str] = []

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()

    def counted(self) -> tuple[int, int]:
        """Return how many requests have ended, and how many of them have failed."""
        with self._lock:
            return self.sent, len(self.failures)

    def _ask(self) -> None:
        with httpx.Client(base_url=self._there.client.base_url, timeout=self._seconds, trust_env=False) as client:
            while not self._ended.is_set():
                try:
                    answer = client.get("/health", headers={"Host": self._host})
                    failure = "" if answer.status_code == 200 else str(answer.status_code)
                except httpx.HTTPError as error:
                    failure = type(error).__name__
                with self._lock:
                    self.sent += 1
                    self.failures += [failure] if failure else []


def test_a_canary_that_hangs_goes_back_at_once_and_costs_no_more_than_its_share(
    environment: Environment, there: Gateway
) -> None:
    name, host, weight = "hanging-by-route", "hanging.example.org", 25
    rebuilt = environment.copy_of(STABLE, name="demo_hanging", version="1.0.8")
    stage = {"canary": {"weight": weight, "require": {"requests": 1_000_000}}, "timeoutSeconds": 3600}

    def mirror(active: str) -> None:
        route = {"parentRefs": [there.parent], "hostnames": [host]}
        manifest = environment.manifest(name, active=active, added=(rebuilt,), replicas=1, serving={"route": route})
        manifest["spec"]["rollout"] = {"stages": [stage]}
        environment.kubectl.apply(manifest)

    def weights() -> list[int]:
        (rule,) = environment.kubectl.get(gateway.ROUTES, name)["spec"]["rules"]
        return [backend["weight"] for backend in rule["backendRefs"]]

    mirror(STABLE)
    environment.wait_for_condition(name, "Ready", "True")
    until("Envoy to know the route", lambda: health(there, host).status_code == 200)
    mirror(rebuilt.name)
    until("the candidate to answer clients", lambda: version_of(health(there, host)) == rebuilt.version)
    (pod,) = environment.pods(candidate_label(name))
    with Clients(there, host, clients=16, seconds=CLIENT_SECONDS) as clients:
        until("clients to be answered", lambda: clients.counted()[0] >= 200)
        assert not clients.failures
        hang(environment.kubectl, pod)
        begin = time.monotonic()
        until("the route to go back", lambda: weights() == [100])
        took = time.monotonic() - begin
        # The candidate stays until Envoy has reported the route without it.
        until("the candidate to be gone", lambda: not candidate_left(environment, name))
    assert took < GONE_SECONDS, "three probes fail in 15 seconds"
    sent, failed = clients.counted()
    most = binom.ppf(1 - CHANCE, sent, weight / 100)
    assert 0 < failed <= most, f"{failed} of {sent} requests failed, expected at most {most:.0f}"
    stable = environment.registry.model(STABLE).version
    assert Counter(version_of(health(there, host)) for _ in range(REQUESTS)) == {stable: REQUESTS}
    assert environment.condition(name, "CandidatePassed")["reason"] == "Failing"
    (returned,) = environment.resource(name)["status"]["returnedCandidates"]
    assert "answered clients and is not ready any more" in returned["why"]
    environment.kubectl("delete", "cetaceanmodel", name, "--wait=false")


def candidate_left(environment: Environment, name: str) -> list[str]:
    """Return the kinds of the children of a candidate that are left."""
    found = environment.kubectl.get("deployments,services")["items"]
    return [one["kind"] for one in found if one["metadata"]["name"] == candidate_name(name)]
