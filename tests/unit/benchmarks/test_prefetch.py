"""The benchmark of prefetch: its figures, its store and its large models."""

from __future__ import annotations

import threading
from pathlib import Path

import httpx
import pytest
import torch
from benchmarks.prefetch.__main__ import Turn, results, table
from benchmarks.prefetch.weights import HEAD, enlarge
from benchmarks.throttled_store import server
from safetensors.torch import load_file, save_file

from cetacean_registry.digests import file_sha256
from cetacean_registry.registry import ModelEntry


def test_the_table_has_the_medians() -> None:
    found = results(
        [Turn(60.0), Turn(61.0), Turn(80.0)],
        [Turn(5.0, 50.0), Turn(6.0, 51.0), Turn(7.0, 52.0)],
        megabytes=500,
        rate=10,
    )
    assert (found["without_s"], found["prefetched_s"], found["fetch_s"]) == (61.0, 6.0, 51.0)
    assert "| from `active` to Ready, s | 61.0 | 6.0 |" in table(found)
    assert "Medians of 3 promotions" in table(found)
    assert "weights of 500 MB, a store that sends 10 MB a second" in table(found)
    assert table({**found, "rounds": 1}).startswith("One promotion of each kind")


def test_the_store_sends_the_files_of_its_folder(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x" * 200_000)
    with server(tmp_path, 0, 1e9) as store:
        thread = threading.Thread(target=store.serve_forever)
        thread.start()
        try:
            answer = httpx.get(f"http://127.0.0.1:{store.server_address[1]}/a", trust_env=False)
        finally:
            store.shutdown()
            thread.join()
    assert (len(answer.content), answer.headers["Content-Length"]) == (200_000, "200000")


@pytest.mark.parametrize("size", [100_000])
def test_a_large_model_has_the_size_and_the_known_rows(tmp_path: Path, size: int) -> None:
    source, target = tmp_path / "small.safetensors", tmp_path / "large.safetensors"
    known = torch.arange(32.0).reshape(4, 8)
    save_file({HEAD: known, "embedding.weight": torch.ones(2)}, source)
    entry = ModelEntry(
        name="a",
        version="1.0.0",
        architecture="X",
        weights_url="https://x/a",
        sha256=file_sha256(source),
        num_classes_head=4,
    )
    made = enlarge(source, target, entry, size=size, seed=1)
    assert size * 0.99 < target.stat().st_size < size * 1.01
    state = load_file(target)
    assert made.num_classes_head == state[HEAD].shape[0]
    assert torch.equal(state[HEAD][:4], known)
    assert made.sha256 == file_sha256(target)
    assert enlarge(source, target, entry, size=size, seed=2).sha256 != made.sha256
