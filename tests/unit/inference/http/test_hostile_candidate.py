"""A process whose candidate misbehaves over real connections answers its clients as one without a candidate does."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.hostile_candidate import REASONS, HostileCandidate, hostile_candidate, service_of
from support.inference_world import DIGEST
from support.pictures import picture
from support.served import Served, serving_process
from support.waiting import wait_until

CANDIDATE = {"name": "next", "version": "2.0.0", "sha256": "ef" * 32}
PICTURES = 4
# Every counter of what clients were answered, and nothing of when or how long.
COUNTERS = re.compile(
    r"^(?!\w+_created)(requests_total|errors_total|predictions_total|rejections_total|rejections_by_reason.*|availability_percent"
    r"|cetacean_score_avg|cetacean_inference_(cetacean_score|top_probability|batch_size|species|drift|lifetime|low|feedback)"
    r"\w*(\{.*\})?"
    r"|cetacean_inference_request_duration_seconds_count.*) "
)


@dataclass(frozen=True, slots=True)
class Services:
    """A service that copies its pictures, and one that has no candidate."""

    copying: Served
    alone: Served
    candidate: HostileCandidate

    def compare_with(self, kind: str, *, run: str) -> None:
        """Let the first one send copies to a candidate of that kind."""
        plan = {
            "run": run,
            "share": 1.0,
            "url": f"http://{service_of(kind)}",
            "candidate": CANDIDATE,
            "served": {"name": "tiny", "version": "1.2.3", "sha256": DIGEST},
        }
        written = self.copying.directory / "monitoring.json.new"
        written.write_text(json.dumps({"shadow": plan}), encoding="utf-8")
        written.rename(self.copying.directory / "monitoring.json")
        wait_until(lambda: self.stats()["run"] == run)

    def stats(self) -> dict[str, Any]:
        """Return the counts of the comparison."""
        found: dict[str, Any] = self.copying.client.get("/v1/shadow-stats").json()
        return found


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    with ExitStack() as running:
        candidate = running.enter_context(hostile_candidate(CANDIDATE["sha256"]))

        def started(name: str) -> Served:
            directory = tmp_path_factory.mktemp(name)
            sections = {"drift": {"poll_seconds": 0.05}, "shadow": {"timeout_seconds": 1}}
            (directory / "sections.json").write_text(json.dumps(sections), encoding="utf-8")
            (directory / "candidates.json").write_text(json.dumps(candidate.ports), encoding="utf-8")
            (directory / "monitoring.json").write_text("{}", encoding="utf-8")
            (directory / "compute").touch()
            served = running.enter_context(serving_process(directory))
            served.load()
            served.wait_for_status("/v2/health/ready", 200)
            return served

        yield Services(started("copying"), started("alone"), candidate)


def send(served: Served, data: bytes) -> httpx.Response:
    return served.client.post("/v1/predict-single", files={"file": ("whale.png", data, "image/png")})


def counters(served: Served) -> list[str]:
    return [line for line in served.client.get("/metrics").text.splitlines() if COUNTERS.match(line)]


def memory_mb(served: Served) -> int:
    status = Path(f"/proc/{served.process.pid}/status").read_text(encoding="utf-8")
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) // 1024


@pytest.mark.parametrize("kind", REASONS)
def test_nothing_that_a_candidate_does_changes_an_answer_a_window_or_a_counter(services: Services, kind: str) -> None:
    services.compare_with(kind, run=kind)
    before = memory_mb(services.copying)
    pictures = [picture(size=(30 + number, 30), score=0.5 + number / 10) for number in range(PICTURES)]
    for data in pictures:
        got, expected = send(services.copying, data), send(services.alone, data)
        assert (got.status_code, got.content) == (200, expected.content)
        # Of headers only these differ by nature.
        differ = {"date", "x-request-id"}
        kept = [{name: value for name, value in one.headers.items() if name not in differ} for one in (got, expected)]
        assert kept[0] == kept[1]
    wait_until(lambda: sum(services.stats()["failed"].values()) == PICTURES)
    found = services.stats()
    assert found["failed"] == {reason: PICTURES * (reason == REASONS[kind]) for reason in found["failed"]}
    assert (found["sampled"], found["dropped"], found["candidate"]["pairs"]) == (PICTURES, 0, 0)
    assert counters(services.copying) == counters(services.alone)
    assert len(counters(services.alone)) > 10
    drift = [served.client.get("/v1/drift-stats").json() for served in (services.copying, services.alone)]
    assert drift[0] == drift[1]
    assert services.candidate.asked["elsewhere"] == 0
    # On a busy machine a candidate reads a request after the service has given up on it.
    wait_until(lambda: services.candidate.asked[kind] == PICTURES * (kind != "dead"))
    # Sockets buffer some megabytes that the service never reads.
    assert services.candidate.sent[kind] < PICTURES * 2**25
    assert memory_mb(services.copying) < before + 64


def test_while_a_candidate_hangs_many_clients_are_answered_at_once(services: Services) -> None:
    services.compare_with("hangs", run="many clients")
    pictures = [picture(size=(60 + number, 31)) for number in range(24)]
    for served in (services.copying, services.alone):
        with ThreadPoolExecutor(8) as clients:
            answers = list(clients.map(lambda data, served=served: send(served, data), pictures))
        assert {one.status_code for one in answers} == {200}
    # Batches, and the last digit of sums, depend on the order of the clients.
    by_order = re.compile("batch_size|_sum|_avg|_mean|adwin")
    found = [
        [line for line in counters(one) if not by_order.search(line)] for one in (services.copying, services.alone)
    ]
    assert found[0] == found[1]
