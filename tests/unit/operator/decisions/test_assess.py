"""The assessment of a resource: models that have served, records of the Deployment, and figures that are held."""

from __future__ import annotations

from support.operator_world import BEGIN, SURE, WORSE, World, entry, manifest
from support.pods import Scraped

from cetacean_operator.api.observed import CetaceanModel, ServiceReport
from cetacean_operator.api.spec import parse_spec
from cetacean_operator.api.status import parse_status
from cetacean_operator.api.timestamps import timestamp
from cetacean_operator.decisions.assess import Assessment, assess


def assessed(world: World) -> Assessment:
    """Assess the world as it is."""
    resource = CetaceanModel.of(world.obj)
    status = parse_status(world.obj.get("status"))
    return assess(resource, parse_spec(resource.spec), world.observed(), last_status=status, now=world.now)


def test_if_the_status_was_lost_the_deployment_says_when_and_why_its_model_was_promoted() -> None:
    world = World()
    world.settle()
    (promotion,) = world.status.history
    world.wait(days=1)
    del world.obj["status"]
    assert assessed(world).status.history == (promotion,)
    assert promotion.at == timestamp(BEGIN)


def test_if_the_status_was_lost_a_model_that_the_registry_has_dropped_is_known_by_its_pods() -> None:
    world = World()
    world.settle()
    world.models(entry("second", "b"), active="second")
    del world.obj["status"]
    assert [(item.entry.name, item.digest) for item in assessed(world).history.served] == [("first", "a" * 64)]


def test_if_the_status_was_lost_the_model_before_is_known_by_the_comparison_that_runs() -> None:
    models = entry("first", metrics=SURE), entry("second", "b", metrics=SURE)
    world = World(manifest(*models, drift={"onAlarm": "Rollback"}))
    world.settle()
    world.activate("second")
    world.settle()
    assert assessed(world).history.compared is None
    world.identify(WORSE)
    world.settle()
    del world.obj["status"]
    history = assessed(world).history
    assert [item.entry.name for item in history.served] == ["first", "second"]
    assert history.compared is not None
    assert (history.compared[0].name, history.compared[1]) == ("first", "a" * 64)
    before = history.last_served(other_than=history.known[1])
    assert before is not None
    assert before.entry.name == "first"


def test_while_no_pod_answers_a_low_availability_is_held() -> None:
    world = World()
    world.settle()
    world.pods[0].service = ServiceReport(requests=1000, availability_percent=50.0)
    world.settle()
    assert world.is_("LowAvailability") == ("True", "AvailabilityBelowBound")
    world.pods[0].scraped = Scraped.FAILED_LATELY
    world.settle()
    assert world.is_("LowAvailability") == ("True", "AvailabilityBelowBound")
