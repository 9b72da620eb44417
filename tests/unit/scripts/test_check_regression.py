"""The regression gate of CI: what it judges, prints, and exits with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support import outcomes

from cetacean_evaluation.commands.check_regression import main

Json = dict[str, Any]


def snapshot(**rates: float | None) -> Json:
    """A snapshot whose rates are 1.0 where they are not given; None leaves a rate out."""
    positive = negative = 1000
    given = {"tpr": 1.0, "tnr": 1.0, "roc_auc": 1.0, **rates}
    tp, tn = round((given["tpr"] or 0) * positive), round((given["tnr"] or 0) * negative)
    counts = {
        "n_positive": positive,
        "n_negative": negative,
        "tp": tp,
        "fn": positive - tp,
        "tn": tn,
        "fp": negative - tn,
    }
    figures = {key: value for key, value in given.items() if value is not None}
    return {
        "manifest_path": "data/manifest.csv",
        "sample_size": positive + negative,
        "model_version": "1.0.0",
        "anti_fraud": counts | figures,
    }


class Project:
    """A repository with a registry, a baseline and snapshots."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.models: list[Json] = []
        self.write("reports/metrics_baseline.json", snapshot(tpr=0.95, tnr=0.93, roc_auc=0.98))
        self.model("old", "1.0.0", snapshot(tpr=0.95, tnr=0.93, roc_auc=0.98))

    def write(self, name: str, data: object) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(data if isinstance(data, str) else json.dumps(data))
        return path

    def model(self, name: str, version: str, figures: Json | None, **more: object) -> Path:
        """Add a model with its snapshot; returns the snapshot's path."""
        entry: Json = {"name": name, "version": version, "architecture": "A", "weights_url": "https://example.org/a"}
        path = f"reports/{name}.json"
        if figures is not None:
            entry["metrics_snapshot"] = path
            self.write(path, figures)
        self.models.append(entry | more)
        self.write("models/registry.json", {"active": "old", "models": self.models})
        return self.root / path

    def check(self, *arguments: object, **environment: str) -> int:
        flags = {
            "--registry": self.root / "models/registry.json",
            "--baseline": self.root / "reports/metrics_baseline.json",
        }
        given = [str(argument) for argument in arguments]
        defaults = [str(part) for flag, path in flags.items() if flag not in given for part in (flag, path)]
        return main([*defaults, *given], environment)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return Project(tmp_path)


def test_the_repositorys_own_registry_passes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([], {}) == 0
    assert "effb4_15k 1.0.0 against the baseline 1.0.0: passes" in capsys.readouterr().out


def test_every_figure_is_printed_with_its_bound(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    project.model("new", "1.1.0", snapshot(tpr=0.96, tnr=0.92, roc_auc=0.97))
    assert project.check() == 0
    printed = capsys.readouterr().out
    assert printed.count("passes") == 2
    assert (
        "new 1.1.0 against the baseline 1.0.0: passes\n"
        "  ok    TNR 0.9200 is at least 0.9000 (minTNR)\n"
        "  ok    TPR 0.9600 is at least 0.8500 (minTPR)\n"
        "  ok    TNR 0.9200 is no more than 0.0200 below the baseline 1.0.0's 0.9300 (maxRegression)\n"
        "  ok    TPR 0.9600 is no more than 0.0200 below the baseline 1.0.0's 0.9500 (maxRegression)\n"
        "  ok    ROC AUC 0.9700 is no more than 0.0200 below the baseline 1.0.0's 0.9800 (maxRegression)\n"
    ) in printed


@pytest.mark.parametrize(
    ("figures", "message"),
    [
        (snapshot(tnr=0.89), "FAIL  TNR 0.8900 is below 0.9000 (minTNR)"),
        (snapshot(tpr=0.92), "FAIL  TPR 0.9200 is more than 0.0200 below the baseline 1.0.0's 0.9500 (maxRegression)"),
        (snapshot(roc_auc=0.95), "FAIL  ROC AUC 0.9500 is more than 0.0200 below the baseline 1.0.0's 0.9800"),
        (snapshot(roc_auc=None), "FAIL  ROC AUC is missing, the baseline 1.0.0 has 0.9800"),
        (snapshot() | {"manifest_path": "other.csv"}, "FAIL  evaluation set other.csv (2000 pictures) is not"),
        (None, "FAIL  TNR is missing, at least 0.9000 is needed (minTNR)"),
    ],
    ids=["threshold", "regression", "roc auc", "missing figure", "another set", "no snapshot"],
)
def test_one_bad_model_fails_the_gate(
    project: Project, capsys: pytest.CaptureFixture[str], figures: Json | None, message: str
) -> None:
    project.model("bad", "1.1.0", figures)
    project.model("good", "1.2.0", snapshot())
    assert project.check() == 1
    printed = capsys.readouterr().out
    assert "bad 1.1.0 against the baseline 1.0.0: REFUSED" in printed
    assert message in printed
    assert "good 1.2.0 against the baseline 1.0.0: passes" in printed


def test_deprecated_models_are_not_judged(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    project.model("bad", "0.9.0", snapshot(tnr=0.5), deprecated=True)
    assert project.check() == 0
    assert "bad" not in capsys.readouterr().out


def test_only_a_named_candidate_is_judged(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    project.model("bad", "1.1.0", snapshot(tnr=0.5))
    good = project.model("good", "1.2.0", snapshot())
    stray = project.write("elsewhere.json", snapshot(tpr=0.5))
    assert project.check("--candidate", good) == 0
    assert "good 1.2.0 against" in capsys.readouterr().out
    assert project.check("--candidate", good, "--candidate", stray) == 1
    printed = capsys.readouterr().out
    assert f"{stray} against the baseline 1.0.0: REFUSED" in printed
    assert "bad" not in printed


def test_a_drop_of_exactly_the_bound_passes(project: Project) -> None:
    project.write("reports/metrics_baseline.json", snapshot(tnr=0.92))
    assert project.check("--candidate", project.write("a.json", snapshot(tnr=0.90))) == 0
    assert project.check("--candidate", project.write("a.json", snapshot(tnr=0.90)), "--max-regression", 0.0199) == 1


def test_bounds_can_be_set(project: Project) -> None:
    candidate = project.write("a.json", snapshot(tpr=0.95, tnr=0.93, roc_auc=0.98))
    assert project.check("--candidate", candidate, "--min-tnr", 0.94) == 1
    assert project.check("--candidate", candidate, "--min-tpr", 0.96) == 1
    assert project.check("--candidate", candidate, "--min-tnr", 0.93, "--min-tpr", 0.95) == 0


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("reports/metrics_baseline.json", "{", "metrics_baseline.json:1:2: expected JSON"),
        ("reports/old.json", '{"cetacean_score_mean": 2}', "old.json: cetacean_score_mean: Input should be less than"),
        ("models/registry.json", '{"active": "x", "models": []}', "registry.json: active: 'x' is none of the models"),
    ],
)
def test_bad_input_is_one_line_and_2(
    project: Project, capsys: pytest.CaptureFixture[str], name: str, content: str, message: str
) -> None:
    project.write(name, content)
    assert project.check() == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert captured.out == "", "nothing is judged on bad input"


def test_a_missing_file_is_bad_input(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert project.check("--baseline", project.root / "absent.json") == 2
    assert "absent.json: cannot be read" in capsys.readouterr().err


def test_a_bound_outside_its_range_is_bad_input(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    for value in (1.5, "nan", "much"):
        with pytest.raises(SystemExit) as ended:
            project.check("--min-tnr", value)
        assert ended.value.code == 2
        assert "error: argument --min-tnr: Input should be " in capsys.readouterr().err


def test_a_registry_without_a_model_to_judge_fails(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    project.models[0]["deprecated"] = True
    project.model("also", "1.1.0", None, deprecated=True)
    assert project.check() == 2
    assert "no model to judge" in capsys.readouterr().err


def test_help_names_the_exit_status(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    assert "0 all may be promoted, 1 a regression" in capsys.readouterr().out


def test_the_summary_is_a_table_appended_to_the_file(project: Project) -> None:
    summary = project.write("summary.md", "before\n")
    bad = project.write("odd|name.json", snapshot(tnr=0.5))
    assert project.check("--candidate", bad, GITHUB_STEP_SUMMARY=str(summary)) == 1
    lines = summary.read_text().splitlines()
    assert lines[:2] == ["before", "## Claimed figures: refused"]
    assert "nothing was computed" in lines[3]
    assert lines[5:7] == ["| model | | figure and bound |", "|---|---|---|"]
    assert len(lines) == 7 + 5 + 4
    assert lines[-1].startswith("    not compared picture by picture: the candidate has no outcomes")
    assert lines[7].endswith("odd\\|name.json | ❌ | TNR 0.5000 is below 0.9000 (minTNR) |")
    assert lines[8].endswith(" | ✅ | TPR 1.0000 is at least 0.8500 (minTPR) |")


def test_a_summary_that_cannot_be_written_changes_no_verdict(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    assert project.check(GITHUB_STEP_SUMMARY="/nowhere/summary.md") == 0
    assert capsys.readouterr().err == (
        "warning: /nowhere/summary.md: the summary of the job cannot be written: No such file or directory; the "
        "results are above\n"
    )


@pytest.mark.parametrize("name", ["circle.json", "a\0b.json"])
def test_a_candidate_that_cannot_be_found_is_bad_input(
    project: Project, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (project.root / "circle.json").symlink_to("circle.json")
    assert project.check("--candidate", project.root / name) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_without_the_variable_no_summary_is_written(project: Project) -> None:
    before = sorted(project.root.rglob("*"))
    assert project.check() == 0
    assert sorted(project.root.rglob("*")) == before


def compared(project: Project, *, lost: int, gained: int = 0, pictures: int = 100) -> Path:
    """Give the baseline and a candidate outcomes; so many turned from right to wrong, and from wrong to right."""
    same = [True] * (pictures - lost - gained)
    before, after = [True] * lost + [False] * gained + same, [False] * lost + [True] * gained + same
    baseline, candidate = project.root / "reports/metrics_baseline.json", project.root / "new.json"
    project.write("reports/metrics_baseline.json", snapshot() | {"identification": outcomes.write(baseline, before)})
    return project.write("new.json", snapshot() | {"identification": outcomes.write(candidate, after)})


def test_models_with_outcomes_are_compared_picture_by_picture(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    assert project.check("--candidate", compared(project, lost=7, gained=1), "--max-regression", "0.05") == 1
    printed = capsys.readouterr().out
    assert (
        "  ok    top-1, picture by picture: of 100, 7 turned from right to wrong and 1 from wrong to right" in printed
    )
    assert "top-1 0.9300 is more than 0.0500 below" in printed, "the figures refuse it"
    assert project.check("--candidate", compared(project, lost=9, gained=1), "--max-regression", "0.05") == 1
    printed = capsys.readouterr().out
    assert (
        "  FAIL  top-1, picture by picture: of 100, 9 turned from right to wrong and 1 from wrong to right" in printed
    )
    assert "(McNemar, p = 0.021): the candidate is worse" in printed
    assert "  top-1: pictures that turned from right to wrong (9):\n    test/0.jpg: z (0.90) instead of a\n" in printed


def test_with_interval_evidence_the_pictures_show_a_loss_that_the_shares_do_not(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    candidate = compared(project, lost=6)
    assert project.check("--candidate", candidate, "--evidence", "Interval") == 1
    printed = capsys.readouterr().out
    assert "  ok    top-1 0.9400 of 100 pictures is not shown to be more than 0.0200 below" in printed
    assert (
        "  FAIL  top-1, picture by picture: of 100, 6 turned from right to wrong and 0 from wrong to right" in printed
    )


HOSTILE = "a.jpg\n::error title=x::forged\n\x1b[2J\x1b[32m| forged | <b>"


def test_names_of_pictures_forge_no_line_no_command_and_no_cell(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    candidate, summary = compared(project, lost=9), project.write("summary.md", "")
    for file in project.root.rglob("*.outcomes.jsonl"):
        text = file.read_text().replace("test/0.jpg", HOSTILE.replace("\n", "\\n").replace("\x1b", "\\u001b"))
        file.write_text(text.replace("test/1.jpg", "::warning::forged"))
    project.models[0] |= {"deprecated": True}
    assert project.check("--candidate", candidate, GITHUB_STEP_SUMMARY=str(summary)) == 1
    printed = capsys.readouterr().out
    assert all(character.isprintable() or character == "\n" for character in printed + summary.read_text())
    assert not [line for line in printed.splitlines() if line.lstrip().startswith("::")]
    assert "    a.jpg ::error title=x::forged \ufffd[2J\ufffd[32m| forged | <b>: z (0.90)" in printed
    assert not [line for line in summary.read_text().splitlines() if line.startswith("::") or "<b>" in line[:4]]


def test_the_name_of_an_evaluation_set_forges_no_line_and_no_cell(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    summary = project.write("summary.md", "")
    bad = project.write("bad.json", snapshot() | {"evaluation_set": HOSTILE})
    assert project.check("--candidate", bad, GITHUB_STEP_SUMMARY=str(summary)) == 1
    printed = capsys.readouterr().out
    assert "\n::" not in printed + summary.read_text()
    assert "\x1b" not in printed + summary.read_text()
    (row,) = [line for line in summary.read_text().splitlines() if "forged" in line and line.startswith("|")]
    assert "\\| forged \\| \\<b\\>" in row


def test_a_set_that_is_too_small_to_decide_passes_and_says_so(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    assert project.check("--candidate", compared(project, lost=1, pictures=60)) == 0
    printed = capsys.readouterr().out
    assert "too few to decide" in printed
    assert "the set is too small to show a loss of 0.0200 (maxRegression): at least 300 are needed" in printed


def test_the_summary_lists_the_pictures_that_turned_from_right_to_wrong(project: Project) -> None:
    summary = project.write("summary.md", "")
    project.check("--candidate", compared(project, lost=9), GITHUB_STEP_SUMMARY=str(summary))
    assert "    top-1: pictures that turned from right to wrong (9):\n      test/0.jpg: z (0.90)" in summary.read_text()


def test_outcomes_of_another_run_are_bad_input(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    candidate = compared(project, lost=9)
    outcomes.write(candidate, [True] * 100)
    assert project.check("--candidate", candidate) == 2
    assert "new.outcomes.jsonl: expected the outcomes of new.json, top-1 0.91 of 100" in capsys.readouterr().err


def test_bounds_of_the_identification_can_be_set(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    candidate = compared(project, lost=2)
    assert project.check("--candidate", candidate, "--min-top1", 0.99) == 1
    assert project.check("--candidate", candidate, "--min-top1", 0.98, "--min-species-accuracy", 0.98) == 0
    capsys.readouterr()
    assert project.check("--candidate", candidate, "--species-min-samples", 10) == 1
    assert "FAIL  figures by species are missing (bySpecies)" in capsys.readouterr().out
