"""A rollout that misses its deadline, on a real Deployment controller: the template of the model before comes back."""

from __future__ import annotations

from typing import Any

from support.forged_pods import answering_pod, on_node
from support.live_operator import OperatorProcess, condition, model

from cetacean_tools.demo.kubectl import Kubectl
from cetacean_tools.demo.waiting import until

NAME = "taken-back"


def test_the_pod_of_the_model_before_goes_on_and_the_failed_one_is_remembered(
    namespaced_operator: OperatorProcess, namespaced: Kubectl, node: str
) -> None:
    assert namespaced_operator
    serving = {**on_node(node), "progressDeadlineSeconds": 10}

    def resource() -> dict[str, Any]:
        return namespaced.get("cetaceanmodel", NAME)

    def mirror(active: str) -> None:
        manifest = model(NAME, active=active, serving=serving, rollout={"onFailure": "Return"})
        for entry in manifest["spec"]["registry"]["models"]:
            entry["metrics"]["rocAuc"] = 0.98  # the gate compares it with that of what serves
        namespaced.apply(manifest)

    def template() -> str:
        annotations = namespaced.get("deployment", NAME)["spec"]["template"]["metadata"]["annotations"]
        return str(annotations["ecomarineai.org/model"])

    mirror("first")
    with answering_pod(namespaced, NAME):
        until("it to be ready", lambda: condition(resource(), "Ready").get("status") == "True", within=60)
        mirror("second")
        until(
            "it to be taken back",
            lambda: condition(resource(), "Stalled").get("reason") == "CandidateReturned",
            within=60,
            shown=lambda: resource()["status"],
        )
        assert template() == "first"
        (returned,) = resource()["status"]["returnedCandidates"]
        assert (returned["model"], returned["reason"]) == ("second", "ProgressDeadlineExceeded")
        assert "progress deadline of 10 s" in returned["why"]
    namespaced("delete", "cetaceanmodel", NAME)
    namespaced("delete", "pods", "--all", "--force", "--grace-period=0")
