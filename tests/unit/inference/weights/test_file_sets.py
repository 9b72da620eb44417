"""Files that belong together: what is served is one set that one fetch has found, never a mix of two."""

from __future__ import annotations

import pytest
from support.weights_store import GATE_1, MODEL_1, V1, Store, gate_of, model_of

from cetacean_inference.errors import FatalError, GateUnavailable, WeightsNotFound, WeightsUnreachable
from cetacean_inference.settings import FetchSettings
from cetacean_inference.weights.cache import WeightsCache
from cetacean_inference.weights.fetch import (
    fetch_all,
    fetch_gate,
    fetching,
    locate_all,
    open_own_cache,
)


@pytest.mark.parametrize("missing", ["encoder_classes.npy", "species_map.csv"])
def test_new_weights_are_not_served_with_the_classes_of_earlier_ones(store: Store, missing: str) -> None:
    fetch_all(store.pod("v1"))
    store.upload({"encoder_classes.npy": b"classes 2", "species_map.csv": b"species 2"})
    store.server.down = {missing}
    with pytest.raises(WeightsUnreachable, match=rf"{missing}: expected 200, got 503"):
        fetch_all(store.pod("v2"))
    with pytest.raises(WeightsNotFound, match=r"v2\.ckpt: expected it in the cache .* \(run fetch first\)"):
        locate_all(store.pod("v2"))
    store.server.down = set()
    assert model_of(fetch_all(store.pod("v2"))) == [b"weights 2", b"classes 2", b"species 2"]


@pytest.mark.parametrize("digest", [True, False])
def test_files_that_changed_in_part_are_not_mixed_with_earlier_ones(
    store: Store, caplog: pytest.LogCaptureFixture, *, digest: bool
) -> None:
    pod = store.pod(digest=digest)
    fetch_all(pod)
    changed = {"encoder_classes.npy": b"classes 2", "species_map.csv": b"species 2"}
    store.upload(changed if digest else {**changed, "v1.ckpt": b"other weights"})
    store.server.down = {"species_map.csv"}
    assert model_of(fetch_all(pod)) == MODEL_1
    assert "species_map.csv: expected 200, got 503" in caplog.text
    assert "using the files that were last fetched together" in caplog.text
    assert model_of(locate_all(pod)) == MODEL_1


def test_a_gate_is_not_mixed_with_the_configuration_of_another_one(store: Store) -> None:
    fetch_all(store.pod())
    store.upload({"gate.json": b"gate config 2", "gate.safetensors": b"gate 2"})
    store.server.down = {"gate.safetensors"}
    assert gate_of(fetch_all(store.pod())) == GATE_1
    store.server.down = set()
    assert gate_of(fetch_all(store.pod())) == [b"gate 2", b"gate config 2"]


def test_a_gate_whose_files_were_never_fetched_together_is_unavailable(store: Store) -> None:
    store.server.down = {"gate.safetensors"}
    with pytest.raises(GateUnavailable, match=r"gate\.safetensors: expected 200, got 503"):
        fetch_all(store.pod())


def test_the_gate_alone_is_fetched_as_a_set_too(store: Store) -> None:
    cache = WeightsCache(store.root / "cache", limit_bytes=10_000, keep_unused_seconds=0)
    cache.prepare()

    def fetched() -> list[bytes]:
        config, weights = fetch_gate(store.pod().gate, cache=cache, settings=FetchSettings(attempts=1))
        assert config is not None
        return [weights.path.read_bytes(), config.path.read_bytes()]

    assert fetched() == GATE_1
    store.upload({"gate.json": b"gate config 2", "gate.safetensors": b"gate 2"})
    store.server.down = {"gate.safetensors"}
    assert fetched() == GATE_1


def test_all_servers_may_be_down_if_a_set_was_fetched_before(store: Store) -> None:
    for digest in (True, False):
        fetch_all(store.pod(digest=digest))
    store.server.down = set(V1)
    for digest in (True, False):
        files = fetch_all(store.pod(digest=digest))
        assert (model_of(files), gate_of(files)) == (MODEL_1, GATE_1)


def test_a_damaged_file_of_an_earlier_set_is_not_used(store: Store) -> None:
    fetch_all(store.pod()).species.path.write_bytes(b"damaged")
    store.server.down = {"species_map.csv"}
    with pytest.raises(WeightsUnreachable, match=r"species_map\.csv: expected 200, got 503"):
        fetch_all(store.pod())


def test_a_container_that_restarts_serves_the_classes_of_its_own_weights(store: Store) -> None:
    fetch_all(store.pod("v1"))
    store.upload({"encoder_classes.npy": b"classes 2", "species_map.csv": b"species 2"})
    fetch_all(store.pod("v2"))
    assert model_of(locate_all(store.pod("v1"))) == MODEL_1
    assert model_of(locate_all(store.pod("v2"))) == [b"weights 2", b"classes 2", b"species 2"]


@pytest.mark.parametrize("digest", [True, False])
def test_files_that_another_pod_has_refused_are_not_served_by_a_container_that_restarts(
    store: Store, *, digest: bool
) -> None:
    pod = store.pod(digest=digest)
    fetch_all(pod)
    store.upload({"v1.ckpt": b"other weights", "encoder_classes.npy": b"unsigned", "gate.json": b"unsigned"})
    with pytest.raises(FatalError, match="not signed"), fetching(pod):
        raise FatalError("not signed")
    files = locate_all(pod)
    assert (model_of(files), gate_of(files)) == (MODEL_1, GATE_1)


def test_a_fetch_that_failed_half_way_leaves_the_earlier_set(store: Store) -> None:
    pod = store.pod(digest=False)
    fetch_all(pod)
    store.upload({"v1.ckpt": b"weights 2"})
    (store.server.directory / "encoder_classes.npy").unlink()
    with pytest.raises(WeightsNotFound):
        fetch_all(pod)
    assert model_of(locate_all(pod)) == MODEL_1


@pytest.mark.parametrize("content", ["[]", "null", "{", '["ab"]', '{"files": [{"sha256": "../../a"}]}', '{"files": 1}'])
def test_a_record_that_this_version_does_not_understand_is_ignored(store: Store, content: str) -> None:
    fetch_all(store.pod())
    for record in (store.root / "cache" / "sets").iterdir():
        record.write_text(content)
    with pytest.raises(WeightsNotFound, match="run fetch first"):
        locate_all(store.pod())
    assert model_of(fetch_all(store.pod())) == MODEL_1 == model_of(locate_all(store.pod()))


def test_a_record_does_not_replace_a_digest_of_the_settings(store: Store) -> None:
    fetch_all(store.pod("v1"))
    record = next(path for path in (store.root / "cache" / "sets").iterdir() if "v1.ckpt" in path.read_text())
    fetch_all(store.pod("v2"))
    given, other = (str(store.pod(version).model.sha256) for version in ("v1", "v2"))
    record.write_text(record.read_text().replace(given, other))
    with pytest.raises(WeightsNotFound, match=r"v1\.ckpt"):
        locate_all(store.pod("v1"))


def test_the_record_of_a_pod_that_trusts_no_other_is_its_own(store: Store) -> None:
    pod = store.pod(shared=True)
    fetch_all(pod)
    assert open_own_cache(pod).root == store.root / "own"
    assert len(list((store.root / "own" / "sets").iterdir())) == 2
    assert list((store.root / "cache" / "sets").iterdir()) == []
    assert model_of(locate_all(pod)) == MODEL_1
