"""A comparison's figures are those computed offline on the same pictures, to the last digit.

Two real networks answer the pictures offline, one by one. Then one serves, as two processes that share the pictures,
and the other is their candidate. The counts of the pods, what the operator adds up, and its status must all be equal to
the offline figures. All are integers: an answer is rounded to four decimals once, before it is sent or counted, and no
later figure is rounded. Pictures are sent one after the other, because the batch of a picture may change its last digit.
"""

from __future__ import annotations

import asyncio
import io
import json
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import httpx
import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from support.inference_world import client_of, make_settings, start
from support.operator_world import SURE, WORSE, World, entry, manifest
from support.pictures import encoded
from support.tiny_weights import sections, sha256, write_weights
from support.waiting import until

from cetacean_inference.decision import Detection, decide
from cetacean_inference.http.app import create_app
from cetacean_inference.imaging.decoding import decode
from cetacean_inference.monitoring.monitoring_file import ServedModel, ShadowPlan
from cetacean_inference.pipeline import NetworksPipeline, load_pipeline
from cetacean_inference.serving.service import Service
from cetacean_inference.settings import Settings
from cetacean_inference.shadow.client import ShadowClient
from cetacean_inference.weights.fetch import fetch_all
from cetacean_operator.api.shadow import COUNTS, ShadowReport
from cetacean_operator.decisions.shadow_verdict import pool
from cetacean_operator.pods.shadow_response import PATH, parse_shadow_stats

NUM_PICTURES: Final = 40
OFFSET: Final = 0.0123
"""Of the probabilities, in the plan; 123 in units of the last digit."""
TIMES: Final = {"compute_us_served", "compute_us_other", "slower"}
"""Measured in each run."""


@dataclass(frozen=True, slots=True)
class Model:
    """A loaded model."""

    settings: Settings
    pipeline: NetworksPipeline

    @property
    def named(self) -> ServedModel:
        """The model as its answers name it."""
        model = self.settings.model
        return ServedModel(name=model.name, version=model.version, sha256=self.pipeline.identity.weights_sha256)

    def answer(self, data: bytes) -> Detection:
        """Answer for one picture, offline."""
        image = decode(data, self.settings.images)
        threshold = self.settings.gate.threshold
        (scores,) = self.pipeline.predict([self.pipeline.prepare(image)], threshold=threshold)
        version = self.settings.model.version
        return decide(scores, threshold=threshold, image_ind="a.png", size=image.size, model_version=version)


def made_pictures() -> list[bytes]:
    random = np.random.default_rng(3)
    colours = (random.integers(0, 256, (3, 4, 3), dtype=np.uint8) for _ in range(NUM_PICTURES))
    return [encoded(Image.fromarray(one).resize((64, 48)), "PNG") for one in colours]


def loaded(folder: Path, *, name: str, threshold: float) -> Model:
    folder.joinpath("run").mkdir(exist_ok=True)
    given = sections(folder.as_uri(), name=name, sha256=sha256(folder / "tiny.safetensors"))
    given["gate"]["threshold"] = threshold
    settings = make_settings(folder / "run", engine={"name": "torch-eager", "threads": 1}, **given)
    fetch_all(settings)
    return Model(settings, load_pipeline(settings))


def change(file: Path, folder: Path, *, noise: float, seed: int) -> None:
    """Write a network's parameters to another folder, with noise."""
    torch.manual_seed(seed)
    state = load_file(file)
    changed = {key: one + noise * torch.randn_like(one) * one.std() for key, one in state.items() if one.ndim > 1}
    save_file(state | changed, folder / file.name)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Model, Model]]:
    """A model, and one that has learned a little more: they agree about some of the pictures."""
    served, candidate = (tmp_path_factory.mktemp(name) for name in ("served", "candidate"))
    for folder in (served, candidate):
        write_weights(folder)
    # Random parameters name the same individual whatever they see; changed ones do not.
    change(served / "tiny.safetensors", served, noise=0.5, seed=5)
    change(served / "tiny.safetensors", candidate, noise=0.2, seed=7)
    change(served / "gate.safetensors", candidate, noise=0.02, seed=5)
    pictures = made_pictures()
    with closing(loaded(served, name="first", threshold=0.0).pipeline) as pipeline:
        images = [pipeline.prepare(Image.open(io.BytesIO(data)).convert("RGB")) for data in pictures]
        scores = sorted(pipeline.predict([one])[0].cetacean_score for one in images)
    threshold = round(scores[NUM_PICTURES // 3], 4)  # rejects a third
    found = loaded(served, name="first", threshold=threshold), loaded(candidate, name="second", threshold=threshold)
    yield found
    for model in found:
        model.pipeline.close()


def unit(value: float) -> int:
    """Return an answer's figure in units of its last digit."""
    return round(value * 10_000)


def offline_figures(pairs: Sequence[tuple[Detection, Detection]]) -> dict[str, int]:
    """Compute every count that is not a time, from the answers alone."""
    accepted = [(a, b) for a, b in pairs if a.is_cetacean and b.is_cetacean]
    relative = [unit(b.probability) + unit(OFFSET) - unit(a.probability) for a, b in accepted]
    return {
        "pairs": len(pairs),
        "accepted": sum(a.is_cetacean == b.is_cetacean for a, b in pairs),
        "both_accepted": len(accepted),
        "species": sum(a.id_animal == b.id_animal for a, b in accepted),
        "individual": sum(a.class_animal == b.class_animal for a, b in accepted),
        "score_difference": sum(unit(b.cetacean_score) - unit(a.cetacean_score) for a, b in pairs),
        "probability_served": sum(unit(a.probability) for a, _ in accepted),
        "probability_other": sum(unit(b.probability) for _, b in accepted),
        "higher": sum(one > 0 for one in relative),
        "lower": sum(one < 0 for one in relative),
    }


def offline_species(pairs: Sequence[tuple[Detection, Detection]]) -> dict[str, tuple[int, int, int]]:
    found: dict[str, tuple[int, int, int]] = {}
    for a, b in pairs:
        if a.is_cetacean and b.is_cetacean:
            counts = found.get(a.id_animal, (0, 0, 0))
            agrees = (1, a.id_animal == b.id_animal, a.class_animal == b.class_animal)
            found[a.id_animal] = tuple(map(sum, zip(counts, agrees, strict=True)))  # type: ignore[assignment] # three
    return found


@asynccontextmanager
async def pod(served: Model, candidate: Model, plan: ShadowPlan) -> AsyncIterator[tuple[Service, httpx.AsyncClient]]:
    """A serving pod, and a client of it; its copies go to a pod of the candidate."""
    other = start(Service(candidate.settings), candidate.pipeline)
    asks = ShadowClient(timeout_seconds=30, transport=httpx.ASGITransport(create_app(other)))
    service = start(Service(served.settings, shadow_client=asks), served.pipeline)
    service.shadow.configure(plan)
    task = asyncio.create_task(service.shadow.run())
    async with client_of(service) as client:
        yield service, client
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert service.close(timeout_seconds=10)
    assert other.close(timeout_seconds=10)


async def compare(models: tuple[Model, Model], run: str) -> tuple[list[ShadowReport], list[dict[str, Any]], str]:
    """Send every picture to one of two pods; return what they report, what they list, and their metrics."""
    served, candidate = models
    plan = ShadowPlan(
        run=run,
        share=1.0,
        url="http://candidate.sea.svc",
        candidate=candidate.named,
        served=served.named,
        probability_offset=OFFSET,
    )
    async with AsyncExitStack() as running:
        pods = [await running.enter_async_context(pod(served, candidate, plan)) for _ in range(2)]
        for number, data in enumerate(made_pictures()):
            service, client = pods[number % 2]
            answer = await client.post("/v1/predict-single", files={"file": ("a.png", data, "image/png")})
            assert Detection.model_validate_json(answer.content) == served.answer(data)
            await until(partial(is_compared, service))
        reports = [parse_shadow_stats((await client.get(PATH)).content) for _, client in pods]
        lists = [(await client.get("http://pod.test:8081/v1/shadow-disagreements")).json() for _, client in pods]
        return reports, lists, "\n".join([(await client.get("/metrics")).text for _, client in pods])


def is_compared(service: Service) -> bool:
    """All copies have been compared."""
    return service.shadow.samples.held_bytes == 0


async def test_what_pods_count_and_the_operator_adds_up_is_what_is_computed_offline(
    models: tuple[Model, Model],
) -> None:
    pairs = [(models[0].answer(data), models[1].answer(data)) for data in made_pictures()]
    expected = offline_figures(pairs)
    # The pictures show every kind of agreement and of disagreement.
    assert 0 < expected["both_accepted"] < expected["accepted"] < expected["pairs"]
    assert 0 < expected["individual"] < expected["species"] < expected["both_accepted"]
    assert expected["higher"] > 0 < expected["lower"]

    reports, lists, metrics = await compare(models, "one")
    total = pool(reports, "one")
    assert (total.sampled, total.dropped, total.busy, total.failed) == (NUM_PICTURES, 0, 0, 0)
    assert {name: getattr(total.candidate, name) for name in COUNTS if name not in TIMES} == expected
    species = {name: (one.pairs, one.species, one.individual) for name, one in total.candidate.by_species.items()}
    assert species == offline_species(pairs)
    # The metrics of the pods add up to the same counts.
    for label, name in (
        ("all", "pairs"),
        *((one, one) for one in ("accepted", "both_accepted", "species", "individual")),
    ):
        line = rf'cetacean_inference_shadow_pairs_total{{agree="{label}",other="candidate"}} (\S+)'
        assert sum(float(value) for value in re.findall(line, metrics)) == expected[name]
    # The list has exactly the pairs that differ, with both answers as clients get them.
    listed = {one["image_sha256"]: one for found in lists for one in found["disagreements"]}
    differ = [(a, b) for a, b in pairs if not agrees(a, b)]
    assert len(listed) == len(differ)
    shown = sorted((described(one["served"]), described(one["candidate"])) for one in listed.values())
    assert shown == sorted((answered(a), answered(b)) for a, b in differ)


def agrees(a: Detection, b: Detection) -> bool:
    if not a.is_cetacean and not b.is_cetacean:
        return True
    return (a.is_cetacean, a.id_animal, a.class_animal) == (b.is_cetacean, b.id_animal, b.class_animal)


def described(answer: dict[str, Any]) -> str:
    return json.dumps([answer[name] for name in ("accepted", "species", "individual", "score", "probability")])


def answered(one: Detection) -> str:
    return json.dumps([one.is_cetacean, one.id_animal, one.class_animal, one.cetacean_score, one.probability])


async def test_the_status_of_the_resource_has_the_same_figures(models: tuple[Model, Model]) -> None:
    pairs = [(models[0].answer(data), models[1].answer(data)) for data in made_pictures()]
    expected = offline_figures(pairs)
    world = World(
        manifest(entry("first", metrics=SURE), entry("second", "b", metrics=SURE), drift={"onAlarm": "Rollback"})
    )
    world.edit(serving={"replicas": 2})
    world.settle()
    world.activate("second")
    world.settle()
    world.identify(WORSE)
    world.settle()
    plan = world.comparison_plan
    assert plan is not None
    reports, _, _ = await compare(models, plan["run"])
    for fake, report in zip(world.pods, reports, strict=True):
        fake.shadow = report
    world.settle()
    shown = world.status.comparison
    assert shown is not None
    assert {name: getattr(shown, name) for name in ("pairs", "failed", "higher", "lower")} == {
        "pairs": NUM_PICTURES,
        "failed": 0,
        "higher": expected["higher"],
        "lower": expected["lower"],
    }
