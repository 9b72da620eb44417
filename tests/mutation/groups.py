"""The modules that are mutated, and the tests that must notice it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Group:
    """Modules of one package that the same tests cover."""

    name: str
    root: str
    """Folder of the repository that holds the package."""
    package: str
    modules: tuple[str, ...]
    """Names inside the package."""
    tests: tuple[str, ...]
    left_out: tuple[str, ...] = ()
    """Files and single tests below `tests` that are too slow to run once for each mutant, or start programs that must
    not be mutated."""

    def paths(self) -> dict[str, str]:
        """Return the file of each module, relative to `root`, by the module's full name."""
        return {f"{self.package}.{name}": f"{self.package}/{name.replace('.', '/')}.py" for name in self.modules}


# Ordered by what a mistake costs. `decisions` has nothing else but pure functions.
DECISIONS = Group(
    name="decisions",
    root="operator",
    package="cetacean_operator",
    modules=tuple(
        f"decisions.{name}"
        for name in (
            "promotion",
            "promotion_record",
            "record_budget",
            "returned_candidates",
            "stages",
            "failed_rollout",
            "stage_judgement",
            "stage_record",
            "stage_input",
            "stage_figures",
            "candidate_share",
            "canary_pods",
            "canary_verdict",
            "candidate_children",
            "candidate_condition",
            "candidate_events",
            "network",
            "identity",
            "decide",
            "assess",
            "conditions",
            "report",
            "rollout_state",
            "drift",
            "hysteresis",
            "failures",
            "children",
            "desired_children",
            "template",
            "serving_history",
            "kept_pictures",
            "lineage",
            "compare",
            "ownership",
            "plan",
            "service",
            "quantiles",
            "silent_pods",
            "anti_fraud",
            "feedback",
            "autoscaling",
            "cache",
            "signature",
            "signature_verified",
            "events",
            "runbook",
            "answers",
            "approval",
            "approved",
            "candidate",
            "chance",
            "comparison",
            "confidence_sequence",
            "drift_condition",
            "hotfix_review",
            "release_type",
            "rollback_proof",
            "route",
            "route_accepted",
            "shadow_verdict",
            "signal_figures",
            "signals",
            "species_mix",
            "model_service",
            "pod_overrides",
            "prefetch",
            "prefetch_job",
            "image_volumes",
            "weights_access",
        )
    ),
    tests=("tests/unit/operator/decisions",),
    # Random values, long random histories and simulations. What they alone would notice, an example in the other tests
    # must show.
    left_out=(
        "tests/unit/operator/decisions/test_approved_promotion.py::test_whatever_happens_no_pod_starts_for_a_model_that_is_neither_approved_nor_has_served",
        "tests/unit/operator/decisions/test_canary.py::test_an_equal_canary_is_refused_and_a_bad_one_passed_in_at_most_five_percent",
        "tests/unit/operator/decisions/test_clock_steps.py",
        "tests/unit/operator/decisions/test_confidence_sequence.py::test_judging_often_excludes_the_true_share_in_at_most_five_percent",
        "tests/unit/operator/decisions/test_failed_rollout.py::TestLife",
        "tests/unit/operator/decisions/test_hostile_values.py",
        "tests/unit/operator/decisions/test_level_based.py",
        "tests/unit/operator/decisions/test_nights.py",
        "tests/unit/operator/decisions/test_rollback_proof.py::test_pictures_at_fault_cause_a_rollback_in_at_most_five_percent_of_runs_although_judged_often",
        "tests/unit/operator/decisions/test_shadow_verdict.py::test_a_candidate_that_just_meets_every_requirement_is_refused_in_at_most_five_percent",
        "tests/unit/operator/decisions/test_shadow_verdict.py::test_a_candidate_that_misses_a_requirement_passes_in_at_most_five_percent",
        "tests/unit/operator/decisions/test_signals_simulated.py",
        "tests/unit/operator/decisions/test_size.py",
        "tests/unit/operator/decisions/test_stages_level_based.py",
        "tests/unit/operator/decisions/test_stages_simulated.py",
    ),
)

REGISTRY = Group(
    name="registry",
    root="models",
    package="cetacean_registry",
    modules=(
        "atomic_files",
        "gate",
        "gate_figures",
        "species_gate",
        "companions",
        "evidence",
        "pairs",
        "intervals",
        "outcomes",
        "regular_files",
        "figures",
        "registry",
        "metrics",
        "manifest",
        "digests",
        "documents",
        "errors",
        "messages",
        "urls",
        "weights_schemes",
        "yaml_text",
    ),
    tests=("tests/unit/registry",),
    # Simulations: seconds each.
    left_out=("tests/unit/registry/test_error_rates.py",),
)

SIGNING = Group(
    name="signing",
    root="models",
    package="cetacean_signing",
    modules=("verify", "statement", "certificates", "keys", "bundle", "trust", "sign", "errors"),
    tests=("tests/unit/signing",),
)

# Pure here means: the result follows from the arguments. No thread, no socket, no network, no model.
SERVICE = Group(
    name="service",
    root="inference",
    package="cetacean_inference",
    modules=(
        "decision",
        "likeliest",
        "messages",
        "http_headers",
        "rejected_requests",
        "monitoring.drift",
        "monitoring.feedback",
        "monitoring.recent_requests",
        "monitoring.monitoring_file",
        "serving.identity",
        "http.multipart",
        "http.character_sets",
        "http.targets",
        "imaging.exif",
        "imaging.jpeg",
        "imaging.png",
        "imaging.tiff",
        "imaging.tiff_parts",
        "imaging.resizing",
        "models.classes",
        "models.prompts",
        "engines.agreement",
        "weights.eviction",
        "weights.file_kinds",
        "weights.proxies",
        "weights.retry",
        "weights.sources.source",
        "system.cpus",
    ),
    tests=(
        "tests/unit/inference/test_decision.py",
        "tests/unit/inference/test_http_headers.py",
        "tests/unit/inference/test_likeliest.py",
        "tests/unit/inference/test_messages.py",
        "tests/unit/inference/test_replay.py",
        "tests/unit/inference/monitoring",
        "tests/unit/inference/serving/test_identity.py",
        "tests/unit/inference/http/test_character_sets.py",
        "tests/unit/inference/http/test_multipart.py",
        "tests/unit/inference/http/test_upload_storage.py",
        "tests/unit/inference/http/test_targets.py",
        "tests/unit/inference/http/test_single.py",
        "tests/unit/inference/imaging/test_exif.py",
        "tests/unit/inference/imaging/test_jpeg.py",
        "tests/unit/inference/imaging/test_png.py",
        "tests/unit/inference/imaging/test_tiff.py",
        "tests/unit/inference/imaging/test_tiff_parts.py",
        "tests/unit/inference/imaging/test_preprocessing.py",
        "tests/unit/inference/engines/test_agreement.py",
        "tests/unit/inference/models/test_classes.py",
        "tests/unit/inference/models/test_prompts.py",
        "tests/unit/inference/weights/test_file_kinds.py",
        "tests/unit/inference/weights/test_sources.py",
        "tests/unit/inference/weights/test_retry.py",
        "tests/unit/inference/weights/test_eviction.py",
        "tests/unit/inference/weights/test_proxies.py",
        "tests/unit/inference/weights/test_download.py",
        "tests/unit/inference/system/test_cpus.py",
    ),
    left_out=("tests/unit/inference/monitoring/test_adwin.py",),
)

GROUPS = (DECISIONS, REGISTRY, SIGNING, SERVICE)


def selected(wanted: Sequence[str]) -> list[tuple[Group, list[str]]]:
    """Return the groups and modules of which a given name is a part; all of them if no name is given.

    Raises:
        ValueError: a name is that of no module.
    """
    names = [name for group in GROUPS for name in group.paths()]
    unknown = [name for name in wanted if not any(_named(known, name) for known in names)]
    if unknown:
        raise ValueError(f"expected modules out of {', '.join(names)}, got {', '.join(unknown)}")
    chosen = [
        (group, [name for name in group.paths() if not wanted or any(_named(name, one) for one in wanted)])
        for group in GROUPS
    ]
    return [(group, modules) for group, modules in chosen if modules]


def _named(module: str, name: str) -> bool:
    return f".{name}." in f".{module}."
