"""The process as in a container: with sockets and signals."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.inference_world import make_settings
from support.served import Served, free_port, serving_process
from support.waiting import wait_until
from support.worst_pictures import progressive_jpeg

from cetacean_inference.errors import ConfigInvalid
from cetacean_inference.http.serve import listen, run
from cetacean_inference.system.priority import NICENESS, lower_thread_priority


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., Served]]:
    """Starts the process and waits until it answers."""
    with ExitStack() as running:

        def start(*, grace: int = 20) -> Served:
            return running.enter_context(serving_process(tmp_path, grace=grace))

        yield start


def test_a_process_loads_serves_drains_and_exits(serve: Callable[..., Served]) -> None:
    served = serve()
    assert served.status("/v2/health/ready") == 503
    assert served.client.get("/v1/identity").json()["weights"]["sha256"] is None
    assert "requests_total 0.0" in served.client.get("/metrics").text
    assert served.predict().status_code == 503
    served.load()
    served.wait_for_status("/v2/health/ready", 200)

    found: list[httpx.Response] = []
    thread = served.predict_in_background(found)
    # The model is busy: other requests are answered.
    assert served.status("/health") == 200
    assert "cetacean_inference_requests_in_flight 1.0" in served.client.get("/metrics").text
    served.process.send_signal(signal.SIGTERM)
    wait_until(lambda: served.status("/v2/health/ready") != 200)
    assert served.process.poll() is None
    (served.directory / "compute").touch()
    thread.join()
    assert found[0].status_code == 200
    assert found[0].json()["class_animal"] == "id1"

    status, lines = served.wait_for_exit()
    assert status == 0
    (prediction,) = [line for line in lines if line["logger"].endswith(".predictions")]
    assert prediction["request_id"] == found[0].headers["X-Request-ID"]
    assert len(prediction["image_sha256"]) == 64
    assert prediction["lineage"]["version"] == "1.2.3"
    assert prediction["decision"]["class_animal"] == "id1"
    assert set(prediction["stages_ms"]) == {"prepare", "queue", "predict"}
    assert "a.png" not in json.dumps(lines)
    assert lines[-1]["message"] == "ended"


def test_the_internal_port_alone_answers_about_pictures_of_other_clients(tmp_path: Path) -> None:
    internal, path = free_port(), "/v1/shadow-disagreements"
    with serving_process(tmp_path, internal_port=internal) as served:
        answer = httpx.get(f"http://127.0.0.1:{internal}{path}")
        assert (answer.status_code, answer.json()["disagreements"]) == (200, [])
        assert served.status(path) == 404
        assert served.client.get(path, headers={"Host": f"127.0.0.1:{internal}"}).status_code == 404
        assert served.client.get(f"http://127.0.0.1:{internal}{path}").status_code == 200


def test_a_process_serves_even_if_its_internal_port_is_taken(tmp_path: Path) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        serving_process(tmp_path, internal_port=taken.getsockname()[1]) as served,
    ):
        assert served.status("/v1/shadow-disagreements") == 404
        assert "serving without the internal port" in (tmp_path / "log").read_text()


def test_a_signal_before_the_server_starts_ends_it() -> None:
    program = (
        "import signal, uvicorn\n"
        "from cetacean_inference.http.serve import exit_on_signals\n"
        "server = uvicorn.Server(uvicorn.Config('none:app'))\n"
        "with exit_on_signals(server):\n"
        "    signal.raise_signal(signal.SIGTERM)\n"
        "print(server.should_exit)\n"
    )
    # In a process of its own: other tests of this process may have left a loop's handling of signals behind.
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr


def test_weights_that_cannot_be_loaded_end_the_process_with_the_reason(serve: Callable[..., Served]) -> None:
    served = serve()
    (served.directory / "termination-log").touch()
    served.load(failure="https://weights.test/tiny.ckpt: expected sha256:aa, got sha256:bb")
    status, _ = served.wait_for_exit()
    assert status == 1
    assert (served.directory / "termination-log").read_text(encoding="utf-8") == (
        "DigestMismatch: https://weights.test/tiny.ckpt: expected sha256:aa, got sha256:bb"
    )


def test_sigterm_while_the_weights_load_ends_the_process(serve: Callable[..., Served]) -> None:
    served = serve()
    served.process.send_signal(signal.SIGTERM)
    status, lines = served.wait_for_exit()
    assert status == 0
    assert not any(line["level"] == "ERROR" for line in lines)


def test_the_process_ends_when_the_grace_period_is_over(serve: Callable[..., Served]) -> None:
    served = serve(grace=1)
    served.load()
    served.wait_for_status("/v2/health/ready", 200)
    found: list[httpx.Response] = []
    thread = served.predict_in_background(found)
    served.process.send_signal(signal.SIGTERM)
    status, lines = served.wait_for_exit()
    thread.join()
    assert status == 1
    (answer,) = found
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")
    assert answer.json() == {
        "detail": "the process is ending, and its 1 s for requests in progress are over: try again"
    }
    assert answer.headers["X-Model-Version"] == "1.2.3"
    (logged,) = [line for line in lines if line["message"] == "not answered"]
    assert logged["status"] == 503


def test_pictures_that_take_long_to_decode_stop_neither_others_nor_readiness_nor_sigterm(
    serve: Callable[..., Served],
) -> None:
    served = serve(grace=2)
    served.load()
    (served.directory / "compute").touch()
    served.wait_for_status("/v2/health/ready", 200)
    worst = progressive_jpeg()
    url = f"{served.client.base_url}/v1/predict-single"

    def ask_for_worst() -> int | None:
        try:
            return httpx.post(url, files={"file": ("a.jpg", worst, "image/jpeg")}, timeout=60).status_code
        except httpx.TransportError:
            return None

    with ThreadPoolExecutor(4) as clients:
        asked = [clients.submit(ask_for_worst) for _ in range(4)]
        wait_until(lambda: "requests_in_flight 4.0" in served.client.get("/metrics").text)
        for _ in range(10):
            assert served.predict().status_code == 200
            assert served.status("/v2/health/ready") == 200
        assert not all(one.done() for one in asked)
        decoders = _children(served.process.pid)
        assert decoders
        begun = time.monotonic()
        served.process.send_signal(signal.SIGTERM)
        served.wait_for_exit()
        assert time.monotonic() - begun < 12, "the grace period is two seconds"
        assert {one.result() for one in asked} <= {413, 500, 503, None}
    wait_until(lambda: not any(Path(f"/proc/{one}").exists() for one in decoders))


def _children(process: int) -> list[int]:
    """Return the processes that a process has started and not yet collected."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            if int(stat.read_text(encoding="utf-8").rpartition(")")[2].split()[1]) == process:
                found.append(int(stat.parent.name))
    return found


def test_a_port_in_use_is_an_error(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        settings = make_settings(tmp_path, http={"port": other.getsockname()[1]})
        with pytest.raises(ConfigInvalid, match=r"cannot listen on 127\.0\.0\.1"):
            listen(settings.http)


@pytest.mark.parametrize("host", ["127.0.0.1", "::", "0.0.0.0"])
def test_the_process_listens_on_ipv4_and_ipv6_addresses(host: str, tmp_path: Path) -> None:
    settings = make_settings(tmp_path, http={"host": host})
    with listen(settings.http) as listener:
        port = listener.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            pass


def test_accepted_sockets_send_without_waiting_for_an_acknowledgement(tmp_path: Path) -> None:
    with (
        listen(make_settings(tmp_path).http) as listener,
        socket.create_connection(listener.getsockname()[:2]),
        listener.accept()[0] as accepted,
    ):
        assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has priorities for threads")
def test_a_lowered_priority_is_inherited_by_started_threads_only() -> None:
    here = os.getpriority(os.PRIO_PROCESS, 0)

    def priority() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    def started_from_there() -> int:
        lower_thread_priority()
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(priority).result()

    with ThreadPoolExecutor(1) as pool:
        lowered = pool.submit(started_from_there).result()
        assert lowered == min(19, here + NICENESS)
        assert pool.submit(started_from_there).result() == lowered, "not again by a thread that has it already"
    assert priority() == here


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has priorities for threads")
@pytest.mark.parametrize("added", [0, 7, 17])
def test_a_priority_is_lowered_from_that_of_the_process(added: int) -> None:
    program = (
        "import os, sys, threading\n"
        "from cetacean_inference.system.priority import lower_thread_priority\n"
        "print(os.nice(int(sys.argv[1])))\n"
        "def run():\n"
        "    lower_thread_priority()\n"
        "    print(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))\n"
        "thread = threading.Thread(target=run)\n"
        "thread.start()\n"
        "thread.join()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(added)],
        env={"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    process, thread = map(int, done.stdout.split())
    assert thread == min(19, process + NICENESS)


@pytest.mark.usefixtures("_restored_logging")
def test_an_unexpected_error_while_loading_is_raised(tmp_path: Path) -> None:
    def load(_: object) -> Any:
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        run(make_settings(tmp_path), load=load)
