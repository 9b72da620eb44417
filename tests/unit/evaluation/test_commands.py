"""The commands: exit codes, one-line errors, what is written; the pipeline is a stand-in here."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image
from support.full_disk import full_disk

from cetacean_evaluation import commandline, scoring
from cetacean_evaluation.commands import calibrate_clip_threshold, compute_metrics
from cetacean_evaluation.manifest import COLUMNS, Picture, write_manifest
from cetacean_inference.errors import WeightsUnreachable
from cetacean_inference.settings import GateSettings, ModelSettings
from cetacean_inference.types import Candidate, Scores
from cetacean_registry.digests import file_sha256
from cetacean_registry.metrics import MetricsSnapshot
from cetacean_registry.outcomes import load_outcomes
from cetacean_tools.launch import launch
from cetacean_tools.workspace import REPOSITORY


class GreyPipeline:
    """Scores bright pictures as cetaceans."""

    identity = SimpleNamespace(weights_sha256="ab" * 32)

    def prepare(self, image: Image.Image) -> Image.Image:
        return image

    def predict(self, batch: Sequence[Image.Image]) -> list[Scores]:
        return [Scores(brightness(image), (Candidate("animal", "beluga", 0.9),)) for image in batch]


def brightness(image: Image.Image) -> float:
    level = image.convert("L").getpixel((0, 0))
    assert isinstance(level, int)
    return level / 255


class Split:
    """A folder with grey pictures and their manifest."""

    def __init__(self, folder: Path) -> None:
        self.manifest = folder / "manifest.csv"
        self._rows: list[dict[str, str]] = []

    def add(self, label: str, *levels: int) -> Split:
        for level in levels:
            name = f"{len(self._rows)}.png"
            Image.new("RGB", (8, 8), (level,) * 3).save(self.manifest.parent / name)
            animal = ("animal", "beluga") if label == "cetacean" else ("", "")
            self._rows.append(dict(zip(COLUMNS, (name, label, *animal, "test", "CC0", "test"), strict=True)))
        write_manifest(self.manifest, self._rows)
        return self


@pytest.fixture
def split(tmp_path: Path) -> Split:
    return Split(tmp_path)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[ModelSettings, GateSettings]]:
    """The settings that the stand-in was opened with."""
    seen: list[tuple[ModelSettings, GateSettings]] = []

    @contextmanager
    def open_pipeline(*, model: ModelSettings, gate: GateSettings, cache: Path) -> Iterator[GreyPipeline]:
        seen.append((model, gate))
        yield GreyPipeline()

    def score_gate(gate: GateSettings, pictures: Sequence[Picture], **_: Any) -> list[float]:
        return [brightness(Image.open(picture.path)) for picture in pictures]

    monkeypatch.setattr(scoring, "open_pipeline", open_pipeline)
    monkeypatch.setattr(scoring, "score_gate", score_gate)
    return seen


Asked = list[tuple[ModelSettings, GateSettings]]
Captured = pytest.CaptureFixture[str]


def test_a_good_model_ends_with_0_and_everything_is_written(
    split: Split, asked: Asked, tmp_path: Path, capsys: Captured
) -> None:
    split.add("cetacean", 250, 240, 200).add("non_cetacean", 10, 20)
    out = tmp_path / "reports/new.json"
    assert compute_metrics.main(["--manifest", str(split.manifest), "--out", str(out)]) == 0
    snapshot = MetricsSnapshot.load(out)
    assert (snapshot.metrics.tpr, snapshot.metrics.tnr, snapshot.sample_size) == (1.0, 1.0, 5)
    assert json.loads(out.read_text())["weights_sha256"] == "ab" * 32
    assert sorted(path.name for path in out.parent.iterdir()) == [
        *("new.json", "new.md", "new.outcomes.jsonl", "new_roc.png", "new_scores.png"),
    ]
    outcomes = load_outcomes(out, snapshot) or ()
    assert [(one.picture, one.top1, one.species_right) for one in outcomes] == [
        (f"{number}.png", True, True) for number in range(3)
    ]
    assert outcomes[0].sha256 == file_sha256(split.manifest.parent / "0.png")
    printed = capsys.readouterr()
    assert printed.out.startswith("effb4_15k passes")
    assert "scoring with effb4_15k" in printed.err
    assert " 5/5 " in printed.err
    assert f"wrote {out}\n" in printed.err
    ((model, gate),) = asked
    assert (model.name, model.backbone, model.sha256) == ("effb4_15k", "efficientnet_b4", None)
    assert gate.architecture == "ViT-B-32"


@pytest.mark.parametrize(("level", "verdict"), [(250, "passed"), (10, "refused")])
def test_in_a_workflow_the_summary_has_the_verdict(
    split: Split, asked: Asked, tmp_path: Path, level: int, verdict: str
) -> None:
    split.add("cetacean", level).add("non_cetacean", 10)
    summary = tmp_path / "summary.md"
    summary.write_text("before\n")
    arguments = ["--manifest", str(split.manifest), "--out", str(tmp_path / "new.json")]
    compute_metrics.main(arguments, {"GITHUB_STEP_SUMMARY": str(summary)})
    assert summary.read_text().startswith(f"before\n## Computed figures: {verdict}\n\neffb4_15k ")


def test_in_a_workflow_without_pictures_the_summary_says_why_nothing_is_computed(
    asked: Asked, tmp_path: Path, capsys: Captured
) -> None:
    summary, manifest = tmp_path / "summary.md", tmp_path / "test_split/manifest.csv"
    arguments = ["--newest", "--manifest", str(manifest), "--out", str(tmp_path / "new.json")]
    assert compute_metrics.main(arguments, {"GITHUB_STEP_SUMMARY": str(summary)}) == 1
    line = capsys.readouterr().err
    assert line == f"error: {manifest}: cannot be read: No such file or directory\n"
    assert summary.read_text() == f"## Computed figures: not computed\n\n{line}"
    assert asked == []


def test_a_summary_that_cannot_be_written_changes_no_verdict(
    split: Split, asked: Asked, tmp_path: Path, capsys: Captured
) -> None:
    split.add("cetacean", 250).add("non_cetacean", 10)
    environment = {"GITHUB_STEP_SUMMARY": str(tmp_path)}
    arguments = ["--manifest", str(split.manifest), "--out", str(tmp_path / "new.json")]
    assert compute_metrics.main(arguments, environment) == 0
    warning = f"warning: {tmp_path}: the summary of the job cannot be written: Is a directory"
    assert warning in capsys.readouterr().err
    assert compute_metrics.main(["--manifest", "nowhere.csv"], environment) == 1
    printed = capsys.readouterr().err.splitlines()
    assert [line.partition(":")[0] for line in printed] == ["error", "warning"]


def test_a_name_with_the_marks_of_a_format_or_a_style_is_shown_as_it_is(
    split: Split, asked: Asked, tmp_path: Path, capsys: Captured
) -> None:
    split.add("cetacean", 250).add("non_cetacean", 10)
    arguments = ["--manifest", str(split.manifest), "--out", str(tmp_path / "new.json")]
    for name in ("{a}", "[red]", "{task.x}", "[bold]x[", "a\nb\x1b[2J"):
        assert compute_metrics.main([*arguments, "--weights", str(tmp_path / f"{name}.pt")]) == 0
        shown = capsys.readouterr().err.splitlines()[0]
        assert shown.replace("\ufffd", "\x1b").replace(" ", "").startswith(f"scoringwith{name}".replace("\n", ""))


def test_a_bad_model_ends_with_3_and_its_figures_are_written_too(
    split: Split, asked: Asked, tmp_path: Path, capsys: Captured
) -> None:
    split.add("cetacean", 250, 10).add("non_cetacean", 10)
    out = tmp_path / "new.json"
    assert compute_metrics.main(["--manifest", str(split.manifest), "--out", str(out)]) == 3
    assert "TPR 0.5000 is below 0.8500 (minTPR)" in capsys.readouterr().out
    assert MetricsSnapshot.load(out).metrics.tpr == 0.5


def test_a_baseline_of_another_split_is_refused(split: Split, asked: Asked, tmp_path: Path, capsys: Captured) -> None:
    split.add("cetacean", *[250] * 9, 10).add("non_cetacean", 10)
    old, new = tmp_path / "old.json", tmp_path / "new.json"
    arguments = ["--manifest", str(split.manifest), "--evaluation-set", "grey"]
    assert compute_metrics.main([*arguments, "--threshold", "0.01", "--out", str(old)]) == 3
    assert compute_metrics.main([*arguments, "--baseline", str(old), "--out", str(new)]) == 3
    assert "TPR 0.9000 is more than 0.0200 below the baseline 1.0.0's 1.0000" in capsys.readouterr().out
    baseline = ["--baseline", str(REPOSITORY / "reports/metrics_baseline.json")]
    assert compute_metrics.main([*arguments, *baseline, "--out", str(new)]) == 3
    assert "evaluation set grey (11 pictures) is not" in capsys.readouterr().out


def test_a_baseline_with_outcomes_is_compared_picture_by_picture(
    split: Split, asked: Asked, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    split.add("cetacean", *[250] * 8).add("non_cetacean", 10)
    old, new, summary = tmp_path / "old.json", tmp_path / "new.json", tmp_path / "summary.md"
    arguments = ["--manifest", str(split.manifest)]
    assert compute_metrics.main([*arguments, "--out", str(old)]) == 0
    wrong = Scores(0.9, (Candidate("other", "orca", 0.8),))
    monkeypatch.setattr(
        GreyPipeline, "predict", lambda _, batch: [wrong if brightness(batch[0]) > 0.5 else Scores(0.1, wrong.ranking)]
    )
    arguments += ["--baseline", str(old), "--out", str(new), "--max-regression", "1"]
    assert compute_metrics.main(arguments, {"GITHUB_STEP_SUMMARY": str(summary)}) == 0
    for text in (capsys.readouterr().out, summary.read_text()):
        assert "top-1, picture by picture: of 8, 8 turned from right to wrong and 0 from wrong to right" in text
        assert "0.png: other (0.80) instead of animal\n" in text
    assert compute_metrics.main([*arguments[:-1], "0.5"]) == 3
    assert compute_metrics.main([*arguments, "--min-top1", "0.5"]) == 3
    assert "top-1 0.0000 is below 0.5000 (minTop1), confidently wrong" in capsys.readouterr().out


def test_weights_in_no_registry_have_neither_the_entrys_digest_nor_its_name(
    split: Split, asked: Asked, tmp_path: Path, capsys: Captured
) -> None:
    split.add("cetacean", 250).add("non_cetacean", 10)
    weights = tmp_path / "new.ckpt"
    out = tmp_path / "new.json"
    arguments = ["--manifest", str(split.manifest), "--weights", str(weights), "--model-version", "2.0.0"]
    assert compute_metrics.main([*arguments, "--gate-weights", "https://example.org/g.pt", "--out", str(out)]) == 0
    ((model, gate),) = asked
    assert (model.weights_url, model.sha256) == (weights.as_uri(), None)
    assert (gate.weights_url, gate.sha256) == ("https://example.org/g.pt", None)
    assert MetricsSnapshot.load(out).model_version == "2.0.0"
    assert capsys.readouterr().out.startswith("new passes")
    assert out.with_suffix(".md").read_text().startswith("# Metrics of new 2.0.0\n")


def test_the_newest_is_the_last_that_is_not_deprecated(
    split: Split, asked: Asked, tmp_path: Path, capsys: Captured
) -> None:
    split.add("cetacean", 250).add("non_cetacean", 10)
    entry = {"version": "1.0.0", "architecture": "A", "weights_url": "https://example.org/a.ckpt"}
    models = [{**entry, "name": "a"}, {**entry, "name": "b"}, {**entry, "name": "c", "deprecated": True}]
    registry = tmp_path / "registry.json"
    registry.write_text(json.dumps({"active": "a", "models": models}))
    arguments = ["--manifest", str(split.manifest), "--registry", str(registry), "--out", str(tmp_path / "new.json")]
    assert compute_metrics.main([*arguments, "--newest"]) == 0
    assert [model.name for model, _ in asked] == ["b"]
    registry.write_text(json.dumps({"active": "c", "models": models[2:]}))
    assert compute_metrics.main([*arguments, "--newest"]) == 1
    assert "expected a model that is not deprecated, got none" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--manifest", "nowhere.csv"], "error: nowhere.csv: cannot be read"),
        (["--model", "nope"], "expected one of the models effb4_15k, got 'nope'"),
        (["--registry", "nowhere.json"], "error: nowhere.json: cannot be read"),
        (["--baseline", "nowhere.json"], "error: nowhere.json: cannot be read"),
        (["--threshold-file", "nowhere.yaml"], "nowhere.yaml"),
        (["--gate-config", "a.json"], "config_url describes a custom gate"),
        (["--weights", "ftp://example.org/a.ckpt"], "expected http://, https://, hf://"),
        (["--weights", "~nobody-of-that-name/a.ckpt"], "error: ~nobody-of-that-name/a.ckpt: cannot be found: "),
    ],
)
def test_an_error_is_one_line_and_1(
    split: Split, asked: Asked, capsys: Captured, arguments: list[str], said: str
) -> None:
    split.add("cetacean", 250)
    given = arguments if "--manifest" in arguments else ["--manifest", str(split.manifest), *arguments]
    assert compute_metrics.main(given) == 1
    printed = capsys.readouterr().err
    assert said in printed
    assert printed.count("\n") == 1
    assert asked == []


@pytest.mark.parametrize("content", ["threshold: 1.5", "threshold: yes", "other: 1", "- 1", "a: [", ""])
def test_a_threshold_file_without_a_threshold_is_named(
    split: Split, asked: Asked, tmp_path: Path, capsys: Captured, content: str
) -> None:
    split.add("cetacean", 250)
    path = tmp_path / "t.yaml"
    path.write_text(content)
    assert compute_metrics.main(["--manifest", str(split.manifest), "--threshold-file", str(path)]) == 1
    assert f"error: {path}: " in capsys.readouterr().err


RATES = ("--threshold", "--min-tnr", "--min-tpr", "--min-top1", "--min-species-accuracy", "--max-regression")


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *[
            (option, value)
            for option in (*RATES, "--species-max-regression")
            for value in ("2", "-0.1", "x", "nan", "inf")
        ],
        *[("--species-min-samples", value) for value in ("0", "1000001", "1.5", "x")],
        *[("--evaluation-set", value) for value in ("", "x" * 1025)],
    ],
)
def test_a_value_outside_of_its_bounds_is_wrong_usage(option: str, value: str, capsys: Captured) -> None:
    with pytest.raises(SystemExit) as ended:
        compute_metrics.main([f"{option}={value}"])
    assert ended.value.code == 2
    assert (
        f"error: argument {option}: Input should " in (printed := capsys.readouterr().err) or "String should" in printed
    )


def test_a_manifest_whose_path_no_snapshot_can_hold_is_an_error_before_the_work(
    split: Split, asked: Asked, tmp_path: Path, capsys: Captured
) -> None:
    split.add("cetacean", 250).add("non_cetacean", 10)
    (tmp_path / "x").mkdir()
    manifest = f"{split.manifest.parent}/{'x/../' * 210}{split.manifest.name}"
    assert compute_metrics.main(["--manifest", manifest, "--out", str(tmp_path / "new.json")]) == 1
    assert f"expected a path of at most 1024 characters, got {len(manifest)}" in capsys.readouterr().err
    assert asked == []


def test_a_damaged_picture_is_named(split: Split, asked: Asked, tmp_path: Path, capsys: Captured) -> None:
    split.add("cetacean", 250)
    (tmp_path / "0.png").write_bytes(b"no picture")
    assert compute_metrics.main(["--manifest", str(split.manifest), "--out", str(tmp_path / "o.json")]) == 1
    assert f"error: {tmp_path / '0.png'}: expected a picture" in capsys.readouterr().err
    assert not (tmp_path / "o.json").exists()


@pytest.mark.parametrize("out", ["x.md", "x", "x.png", "x.json.gz", ""])
def test_a_snapshot_that_is_not_json_is_wrong_usage(split: Split, asked: Asked, out: str, capsys: Captured) -> None:
    with pytest.raises(SystemExit) as ended:
        compute_metrics.main(["--manifest", str(split.manifest), "--out", out])
    assert ended.value.code == 2
    assert "expected a file that ends with .json" in capsys.readouterr().err


@pytest.mark.parametrize("figure", ["f.xyz", "f", "f.jpg.txt"])
def test_a_figure_in_an_unknown_format_is_wrong_usage(asked: Asked, figure: str, capsys: Captured) -> None:
    with pytest.raises(SystemExit) as ended:
        calibrate_clip_threshold.main(["--figure", figure])
    assert ended.value.code == 2
    assert "expected a file that ends with .png or .svg or .pdf" in capsys.readouterr().err


@pytest.mark.parametrize("suffix", ["png", "PNG", "svg", "pdf"])
def test_figures_are_written_in_every_format_that_is_accepted(
    split: Split, asked: Asked, tmp_path: Path, suffix: str
) -> None:
    split.add("cetacean", 250).add("non_cetacean", 10)
    figure = tmp_path / f"sweep.{suffix}"
    assert calibrate_clip_threshold.main(["--manifest", str(split.manifest), "--figure", str(figure)]) == 0
    assert figure.stat().st_size > 1000


@pytest.mark.parametrize(
    ("out", "said"),
    [
        ("folder.json", "got a folder"),
        ("file/new.json", "cannot be written"),
        ("registry.json", "one that the command reads"),
        ("./folder.json/../registry.json", "one that the command reads"),
        ("taken.json", "got a folder"),
        ("picture.json", "one that the command reads"),
        ("circle.json", "circle.json: cannot be found: "),
        ("circle.json/new.json", "circle.json/new.json: cannot be found: "),
        (f"{'a' * 300}.json", "File name too long"),
    ],
)
def test_an_output_that_cannot_be_written_is_an_error_before_the_work(
    split: Split, asked: Asked, tmp_path: Path, capsys: Captured, out: str, said: str
) -> None:
    split.add("cetacean", 250).add("non_cetacean", 10)
    for folder in ("folder.json", "taken.md"):
        (tmp_path / folder).mkdir()
    (tmp_path / "file").touch()
    (tmp_path / "picture_roc.png").symlink_to("0.png")
    (tmp_path / "circle.json").symlink_to("circle.json")
    registry = tmp_path / "registry.json"
    registry.write_bytes((REPOSITORY / "models/registry.json").read_bytes())
    before = registry.read_bytes()
    arguments = ["--manifest", str(split.manifest), "--registry", str(registry), "--out", str(tmp_path / out)]
    assert compute_metrics.main(arguments) == 1
    printed = capsys.readouterr().err
    assert said in printed
    assert printed.count("\n") == 1
    assert asked == []
    assert registry.read_bytes() == before


def test_without_room_the_threshold_file_stays_as_it_was(
    split: Split, asked: Asked, tmp_path: Path, capsys: Captured
) -> None:
    split.add("cetacean", 250).add("non_cetacean", 10)
    out = tmp_path / "threshold.yaml"
    out.write_text("threshold: 0.52\n")
    with full_disk(100):
        assert calibrate_clip_threshold.main(["--manifest", str(split.manifest), "--out", str(out)]) == 1
    assert capsys.readouterr().err.splitlines()[-1] == f"error: {out}: cannot be written: File too large"
    assert out.read_text() == "threshold: 0.52\n"
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("size", [100, 3000, 10000], ids=["outcomes", "snapshot", "pictures"])
def test_without_room_an_earlier_snapshot_and_its_outcomes_stay(
    split: Split, asked: Asked, tmp_path: Path, capsys: Captured, size: int
) -> None:
    split.add("cetacean", 250).add("non_cetacean", 10)
    out = tmp_path / "reports/new.json"
    arguments = ["--manifest", str(split.manifest), "--out", str(out)]
    assert compute_metrics.main([*arguments, "--threshold", "0.4"]) == 0
    before = untouched(out.parent)
    capsys.readouterr()
    with full_disk(size):
        assert compute_metrics.main([*arguments, "--threshold", "0.5"]) == 1
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith(f"error: {out.parent}/new")
    assert error.endswith(": cannot be written: File too large")
    kept = ("new.json", "new.outcomes.jsonl")
    after = untouched(out.parent)
    assert {path.name: after[path] for path in after if path.name in kept} == {
        path.name: before[path] for path in before if path.name in kept
    }
    assert set(after) == set(before)


def untouched(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def entry_of(name: str, version: str) -> dict[str, Any]:
    """An entry of a registry whose snapshot is `reports/NAME.json`."""
    (entry,) = json.loads((REPOSITORY / "models/registry.json").read_text())["models"]
    return {**entry, "name": name, "version": version, "metrics_snapshot": f"reports/{name}.json"}


@pytest.fixture
def measured(split: Split, asked: Asked, tmp_path: Path) -> Path:
    """A checkout with two models whose snapshots and outcomes are there; the first one is active."""
    split.add("cetacean", 250, 240).add("non_cetacean", 10, 20)
    (tmp_path / "models").mkdir()
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs/inference.yaml").write_text("{}\n")
    (tmp_path / "configs/anti_fraud_threshold.yaml").write_text("threshold: 0.5\n")
    models = [entry_of("old", "1.0.0"), entry_of("new", "2.0.0")]
    registry = {"schema_version": "1.0", "active": "old", "models": models}
    (tmp_path / "models/registry.json").write_text(json.dumps(registry))
    for name in ("old", "new"):
        assert measure(tmp_path, "--model", name, "--out", str(tmp_path / f"reports/{name}.json")) == 0
    asked.clear()
    return tmp_path


def measure(root: Path, *arguments: str) -> int:
    given = ["--manifest", str(root / "manifest.csv"), "--registry", str(root / "models/registry.json"), *arguments]
    return compute_metrics.main(given, {}, root=root)


@pytest.mark.parametrize(
    ("out", "arguments"),
    [
        ("reports/old.json", ("--model", "new", "--baseline", "reports/old.json")),
        ("reports/old.json", ("--model", "old", "--baseline", "reports/old.json")),
        ("reports/old.json", ("--model", "new", "--threshold", "0.99")),
        ("reports/old.json", ("--weights", "new.ckpt", "--model-version", "3.0.0", "--threshold", "0.99")),
        ("linked.json", ("--model", "new", "--baseline", "reports/old.json")),
        ("gate.json", ("--gate-config", "gate.json", "--gate-weights", "gate.pt")),
        ("gate.json", ("--gate-config", "file://{root}/gate.json", "--gate-weights", "gate.pt")),
    ],
    ids=["baseline", "own baseline", "another model's", "another version's", "outcomes", "path", "URL"],
)
def test_what_is_compared_or_registered_is_never_overwritten(
    measured: Path,
    asked: Asked,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Captured,
    out: str,
    arguments: tuple[str, ...],
) -> None:
    monkeypatch.chdir(measured)
    (measured / "gate.json").write_text("{}")
    (measured / "linked.outcomes.jsonl").symlink_to("reports/old.outcomes.jsonl")
    before = untouched(measured)
    assert measure(measured, "--out", out, *(part.format(root=measured) for part in arguments)) == 1
    printed = capsys.readouterr().err.splitlines()
    assert printed[-1].endswith(
        "expected another file for the output, got one that the command reads or the registry names"
    )
    assert untouched(measured) == before
    assert asked == []


def test_the_same_model_may_be_measured_again(measured: Path) -> None:
    out = measured / "reports/new.json"
    assert measure(measured, "--model", "new", "--threshold", "0.99", "--out", str(out)) == 3
    assert MetricsSnapshot.load(out).metrics.tpr == 0.0


@pytest.mark.parametrize("out", ["configs/inference.yaml", "gate.yaml"])
def test_a_calibration_overwrites_no_settings(
    measured: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured, out: str
) -> None:
    monkeypatch.chdir(measured)
    (measured / "gate.yaml").write_text("{}")
    before = untouched(measured)
    arguments = ["--manifest", "manifest.csv", "--gate-config", "gate.yaml", "--gate-weights", "gate.pt"]
    assert calibrate_clip_threshold.main([*arguments, "--out", out], root=measured) == 1
    assert "got one that the command reads" in capsys.readouterr().err
    assert untouched(measured) == before


def test_one_file_cannot_be_two_outputs(split: Split, asked: Asked, tmp_path: Path, capsys: Captured) -> None:
    split.add("cetacean", 250).add("non_cetacean", 10)
    (tmp_path / "t.png").symlink_to("t.yaml")
    arguments = ["--out", str(tmp_path / "t.yaml"), "--figure", str(tmp_path / "t.png")]
    assert calibrate_clip_threshold.main(["--manifest", str(split.manifest), *arguments]) == 1
    assert "got the same for two" in capsys.readouterr().err


def test_unreachable_weights_are_one_line(
    split: Split, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Captured
) -> None:
    def unreachable(**_: Any) -> None:
        raise WeightsUnreachable("https://example.org/a.ckpt: connection refused")

    split.add("cetacean", 250)
    monkeypatch.setattr(scoring, "open_pipeline", unreachable)
    arguments = ["--manifest", str(split.manifest), "--out", str(tmp_path / "m.json")]
    assert compute_metrics.main(arguments) == 1
    assert capsys.readouterr().err == "error: WeightsUnreachable: https://example.org/a.ckpt: connection refused\n"


def test_calibration_writes_the_threshold_and_a_picture(
    split: Split, asked: Asked, tmp_path: Path, capsys: Captured
) -> None:
    split.add("cetacean", *[250] * 10).add("non_cetacean", *[10] * 8, *[100] * 2)
    out, figure = tmp_path / "configs/t.yaml", tmp_path / "figures/sweep.png"
    arguments = ["--manifest", str(split.manifest), "--out", str(out), "--figure", str(figure)]
    assert calibrate_clip_threshold.main(arguments) == 0
    assert "threshold: 0.4\n" in out.read_text()  # 100 / 255 = 0.392
    assert capsys.readouterr().out == out.read_text()
    assert figure.is_file()


def test_calibration_that_keeps_no_bounds_writes_no_threshold(
    split: Split, asked: Asked, tmp_path: Path, capsys: Captured
) -> None:
    split.add("cetacean", 10, 250).add("non_cetacean", 10, 250)
    out = tmp_path / "t.yaml"
    assert calibrate_clip_threshold.main(["--manifest", str(split.manifest), "--out", str(out)]) == 3
    printed = capsys.readouterr()
    assert "best TNR at 0.30: TNR 0.5000 (0.0945 to 0.9055), TPR 0.5000" in printed.err
    assert "threshold: 0.3\n" in printed.out
    assert not out.exists()


@pytest.mark.parametrize("name", ["compute_metrics", "calibrate_clip_threshold"])
def test_the_scripts_have_a_help_text(name: str) -> None:
    command = [sys.executable, str(REPOSITORY / f"scripts/{name}.py"), "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/", env={"COLUMNS": "100"})
    assert done.returncode == 0, done.stderr
    assert "exit codes: 0 the bounds are kept" in done.stdout
    assert "--manifest" in done.stdout


def test_a_user_without_a_home_gets_a_help_text(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    def unknown(_: object) -> None:
        raise KeyError

    for name in ("HOME", "XDG_CACHE_HOME", "CETACEAN_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", unknown)
    with pytest.raises(SystemExit) as caught:
        compute_metrics.main(["--help"])
    assert caught.value.code == 0
    assert "--cache" in capsys.readouterr().out


def test_the_regression_gate_runs_from_any_folder() -> None:
    command = [sys.executable, str(REPOSITORY / "scripts/check_regression.py")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/", env={})
    assert done.returncode == 0, done.stderr
    assert "passes" in done.stdout


@pytest.mark.parametrize(("name", "code"), [("compute_metrics", 1), ("check_regression", 2)])
def test_a_python_that_lacks_packages_says_how_to_get_them(
    monkeypatch: pytest.MonkeyPatch, capsys: Captured, name: str, code: int
) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setitem(sys.modules, f"cetacean_evaluation.commands.{name}", None)
    assert launch(name, [], missing_package=code) == code
    assert "use the Python of `make venv`" in capsys.readouterr().err


def test_paths_in_the_repository_are_shown_relative_to_it(tmp_path: Path) -> None:
    assert commandline.shown_path(REPOSITORY / "data/m.csv", REPOSITORY) == "data/m.csv"
    assert commandline.shown_path(tmp_path / "m.csv", REPOSITORY) == (tmp_path / "m.csv").as_posix()
    assert commandline.as_url("hf://a/b/c.ckpt") == "hf://a/b/c.ckpt"
    assert commandline.as_url(str(tmp_path / "a b.ckpt")) == (tmp_path / "a b.ckpt").as_uri()
