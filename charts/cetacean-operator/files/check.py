"""Run by `helm test` in the operator's image: check that the API server refuses a wrong resource and the operator acts.

Creates a CetaceanModel with 0 replicas in a namespace that the operator serves, and deletes it; no pod of it starts.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
import urllib.request
from typing import Any

from kubernetes.aio import client, config

GROUP, VERSION, PLURAL = "ecomarineai.org", "v1alpha1", "cetaceanmodels"
PROBES_PORT = 8081
PATIENCE = 60.0
"""Seconds for the operator to act; another replica may first have to acquire the Lease."""
INTERVAL = 0.5


def model(active: str) -> dict[str, Any]:
    """Return a CetaceanModel of one model, `a`, that passes the gate; the API server generates its name."""
    entry = {
        "name": "a",
        "version": "1.0.0",
        "architecture": "CetaceanIdentificationModel",
        "weightsUrl": "https://example.org/a.ckpt",
        "metrics": {"tpr": 1.0, "tnr": 1.0, "sampleSize": 1, "evaluationSet": "helm test"},
    }
    return {
        "apiVersion": f"{GROUP}/{VERSION}",
        "kind": "CetaceanModel",
        "metadata": {"generateName": "helm-test-"},
        "spec": {
            "registry": {"schemaVersion": "1.0", "active": active, "models": [entry]},
            "serving": {"image": "example.org/inference:test", "replicas": 0},
        },
    }


async def served(objects: Any) -> str:
    """Check that the CRD is established: only then the API server serves its API."""
    names = {resource.name for resource in (await objects.get_api_resources(GROUP, VERSION)).resources}
    if not {PLURAL, f"{PLURAL}/status", f"{PLURAL}/scale"} <= names:
        raise SystemExit(f"expected {PLURAL} with status and scale, got {sorted(names)}")
    return f"{GROUP}/{VERSION} is served"


async def validated(objects: Any, namespace: str) -> str:
    """Check that the API server refuses a resource whose active model is not listed."""
    try:
        await objects.create_namespaced_custom_object(GROUP, VERSION, namespace, PLURAL, model("b"), dry_run="All")
    except client.ApiException as error:
        if error.status == 422 and "active" in str(error.body):
            return "a wrong resource is refused"
        raise
    raise SystemExit("expected the API server to refuse a resource whose active model is not listed")


async def reconciled(objects: Any, namespace: str) -> str:
    """Check that the operator reports a correct resource with 0 replicas as Ready."""
    made = await objects.create_namespaced_custom_object(GROUP, VERSION, namespace, PLURAL, model("a"))
    name, generation = made["metadata"]["name"], made["metadata"]["generation"]
    deadline = time.monotonic() + PATIENCE
    try:
        while True:
            found = await objects.get_namespaced_custom_object(GROUP, VERSION, namespace, PLURAL, name)
            status = found.get("status", {})
            condition = {item["type"]: item for item in status.get("conditions", ())}.get("Ready", {})
            if status.get("observedGeneration") == generation and condition.get("status") == "True":
                return f"the operator has reconciled {namespace}/{name}: {condition.get('reason')}"
            if time.monotonic() > deadline:
                message = condition.get("message") or "nothing"
                raise SystemExit(
                    f"expected {namespace}/{name} to be Ready within {PATIENCE:.0f} s, its operator said: {message}"
                )
            await asyncio.sleep(INTERVAL)
    finally:
        await objects.delete_namespaced_custom_object(GROUP, VERSION, namespace, PLURAL, name)


async def ready(core: Any, namespace: str, selector: str) -> list[str]:
    """Check that every operator pod that is not terminating is ready, by /readyz."""
    running = {"label_selector": selector, "field_selector": "status.phase=Running"}
    found = (await core.list_namespaced_pod(namespace, **running)).items
    pods = [pod for pod in found if pod.metadata.deletion_timestamp is None]
    if not pods:
        raise SystemExit(f"expected running pods labelled {selector} in {namespace}")
    lines = []
    for pod in pods:
        address = f"[{pod.status.pod_ip}]" if ":" in pod.status.pod_ip else pod.status.pod_ip
        url = f"http://{address}:{PROBES_PORT}/readyz"
        with await asyncio.to_thread(urllib.request.urlopen, url, timeout=10) as answer:
            lines.append(f"{pod.metadata.name} is ready: {answer.status}")
    return lines


async def main() -> None:
    """Run all checks; the first that fails ends the program with an error."""
    connection = client.Configuration()
    config.load_incluster_config(client_configuration=connection)
    connection.disable_strict_ssl_verification = True  # as the operator itself, and for its reasons
    own, served_one = os.environ["POD_NAMESPACE"], os.environ["MODEL_NAMESPACE"]
    async with client.ApiClient(connection) as api:
        objects = client.CustomObjectsApi(api)
        print(await served(objects))
        print(await validated(objects, served_one))
        for line in await ready(client.CoreV1Api(api), own, os.environ["OPERATOR_SELECTOR"]):
            print(line)
        print(await reconciled(objects, served_one))


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except (client.ApiException, OSError) as error:
        sys.exit(f"{type(error).__name__}: {error}")
