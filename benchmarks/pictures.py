"""Pictures of the measured figures, for docs/benchmarks.md: `python -m benchmarks.pictures` draws all of them again.

A benchmark draws its own when it writes its figures. Each picture holds a digest of the figures it shows: a test
recognises a stale one by it without drawing, whichever fonts and matplotlib a machine has.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Final

import matplotlib as mpl
from benchmarks.switch.report import columns
from benchmarks.switch.timeline import PARTS
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cetacean_tools.workspace import REPOSITORY

RESULTS: Final = REPOSITORY / "benchmarks/results"
IMAGES: Final = REPOSITORY / "docs/images"
# Colours that people with any colour vision can distinguish (Okabe and Ito), ours the strongest.
_COLOURS: Final = {
    "ours": "#0072B2",
    "in a decoder": "#0072B2",
    "openvino-split": "#0072B2",
    "openvino": "#56B4E9",
    "openvino-fp32": "#009E73",
    "onnxruntime": "#E69F00",
    "torch-compile": "#CC79A7",
    "LitServe": "#E69F00",
    "BentoML": "#56B4E9",
    "Ray Serve": "#009E73",
    "KServe": "#CC79A7",
    "Argo Rollouts": "#E69F00",
    "Argo Rollouts, limits lifted": "#F4D38B",
}
_OTHERS: Final = "#B8B8B8"
_PARTS: Final = (
    "#000000",
    "#B8B8B8",
    "#56B4E9",
    "#009E73",
    "#CC79A7",
    "#D55E00",
    "#0072B2",
    "#F0E442",
    "#E69F00",
    "#7A5195",
)
"""Colours of the parts of one bar."""
_STACKED: Final = (8.0, 3.6)
_PANEL: Final = (3.4, 3.0)
"""Width and height of one, in inches."""
_DIGEST: Final = re.compile(r"sha256:([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Panel:
    """Bars side by side: one group for each kind of question, in it one bar for each program."""

    title: str
    groups: tuple[str, ...]
    bars: tuple[tuple[str, tuple[float | None, ...]], ...]
    """Program, and its value in each group; None if it was not measured."""
    stacked: bool = field(default=False, repr=False)
    """True for parts of one bar: one horizontal bar for each group."""


def draw(name: str, found: Mapping[str, Any], *, folder: Path = IMAGES) -> Path:
    """Write the picture of one benchmark.

    Args:
        name: of the benchmark, as in the name of its file in `benchmarks/results`.
        found: its figures.
        folder: the picture's folder.

    Returns:
        The picture's path.
    """
    panels = tuple(PANELS[name](found))
    path = folder / f"benchmark-{name}.svg"
    # Text stays text: small, and what a reader searches for is found.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": name, "font.size": 8}):
        stacked = panels[0].stacked
        size = _STACKED if stacked else (_PANEL[0] * len(panels), _PANEL[1])
        figure = Figure(figsize=size, layout="constrained")
        for axes, panel in zip(figure.subplots(1, len(panels), squeeze=False)[0], panels, strict=True):
            (_stack if panel.stacked else _bars)(axes, panel)
        labels = [label for label, _ in panels[0].bars]
        figure.legend(labels, frameon=False, loc="outside lower center", ncols=5 if stacked else len(labels))
        figure.savefig(path, metadata={"Date": None, "Description": f"sha256:{digest(panels)}"})
    return path


def digest(panels: tuple[Panel, ...]) -> str:
    """Return the SHA-256 of the figures that a picture shows."""
    return hashlib.sha256(repr(panels).encode()).hexdigest()


def shown(path: Path) -> str | None:
    """The digest that a picture holds, None if it holds none."""
    found = _DIGEST.search(path.read_text(encoding="utf-8"))
    return found[1] if found else None


def _inference(found: Mapping[str, Any]) -> Iterator[Panel]:
    programs = (("ours", found), ("plain eager", found["plain"]))

    def panel(title: str, groups: Mapping[str, str]) -> Panel:
        bars = tuple((label, tuple(figures[key] for key in groups.values())) for label, figures in programs)
        return Panel(title, tuple(groups), bars)

    throughput = {clients: f"throughput_img_s_http_{clients}" for clients in ("1", "4", "16")}
    yield panel("pictures/s by clients (more is better)", throughput)
    yield panel("latency of one client, ms (less is better)", {"p50": "p50_ms_single", "p95": "p95_ms_single"})
    yield panel("resident memory, MB (less is better)", {"at the end": "rss_mb", "highest": "peak_rss_mb"})


def _engines(found: Mapping[str, Any]) -> Iterator[Panel]:
    groups = ("one picture", "in batches")
    for network, engines in found["networks"].items():
        bars = tuple((engine, tuple(one["picture_ms"].values())) for engine, one in engines.items())
        yield Panel(f"{network}: ms for a picture (less is better)", groups, bars)


def _serving(found: Mapping[str, Any]) -> Iterator[Panel]:
    servers = found["servers"]
    clients = ("1", "4", "16")

    def panel(title: str, groups: Sequence[str], names: Sequence[str]) -> Panel:
        return Panel(
            title,
            tuple(groups),
            tuple((label, tuple(figures[name] for name in names)) for label, figures in servers.items()),
        )

    yield panel("pictures/s by clients (more is better)", clients, [f"pictures_s_{many}" for many in clients])
    yield panel("latency p95 by clients, ms (less is better)", clients, [f"p95_ms_{many}" for many in clients])
    yield panel("memory, MB (less is better)", ("under load",), ["memory_mb"])
    yield panel("time to the first answer, s", ("a start",), ["ready_seconds"])


def _operator(found: Mapping[str, Any]) -> Iterator[Panel]:
    programs = {
        "ours": "ours",
        "Argo Rollouts": "argo",
        "Argo Rollouts, limits lifted": "argo_unlimited",
        "Deployment controller": "floor",
    }
    there = [(label, found[key]) for label, key in programs.items() if key in found]
    sizes = sorted(found["ours"], key=int)

    def panel(title: str, key: str) -> Panel:
        bars = tuple((label, tuple(by_size.get(size, {}).get(key) for size in sizes)) for label, by_size in there)
        return Panel(title, tuple(sizes), bars)

    yield panel("create all, s, by resources (less is better)", "create_seconds")
    yield panel("switch all, s", "switch_seconds")
    yield panel("one change among them, p95, ms", "single_switch_p95_ms")
    yield panel("resident memory, MB", "rss_mb")


def _decoding(found: Mapping[str, Any]) -> Iterator[Panel]:
    cost, attacked = found["cost"], found["attacked"]
    places = {"in the serving process": "in_process_ms", "in a decoder": "in_worker_ms"}
    bars = tuple((label, tuple(one[key] for one in cost.values())) for label, key in places.items())
    yield Panel("decode and resize one picture, ms", tuple(name.removeprefix("JPEG ") for name in cost), bars)
    rates = (found["alone_pictures_s"], min(one["pictures_s"] for one in attacked.values()))
    groups = ("alone", "beside the worst files")
    yield Panel(
        "good pictures/s (more is better)", groups, (("in the serving process", (None, None)), ("in a decoder", rates))
    )


def _contention(found: Mapping[str, Any]) -> Iterator[Panel]:
    served = found["service"]
    places = ("alone", "beside others")
    costs = tuple(found[key]["processor"] for key in ("alone", "together"))
    yield Panel("compute_metrics: processor time, s (less is better)", places, (("ours", costs),))
    rates, times = (tuple(served[key][name] for key in ("alone", "beside")) for name in ("pictures_s", "processor_ms"))
    yield Panel("the service: pictures/s", places, (("ours", rates),))
    yield Panel("the service: processor time of a picture, ms", places, (("ours", times),))


def _layers(found: Mapping[str, Any]) -> Iterator[Panel]:
    for name, kinds in found["networks"].items():
        present = {kind: one["ms"] for kind, one in kinds.items() if one["ms"]}
        yield Panel(f"{name}: ms on one processor", tuple(present), (("measured", tuple(present.values())),))


def _precision(found: Mapping[str, Any]) -> Iterator[Panel]:
    models, engines = found["models"], ("openvino-bf16", "openvino-fp32")
    for network in ("gate", "identification"):
        bars = tuple(
            (engine, tuple(one[f"{network} {engine}"]["pictures"]["largest"] for one in models.values()))
            for engine in engines
        )
        yield Panel(f"{network}: largest difference from torch-eager", tuple(models), bars)


def _prefetch(found: Mapping[str, Any]) -> Iterator[Panel]:
    times = (found["without_s"], found["prefetched_s"])
    groups = ("without prefetch", "with prefetch")
    yield Panel("from active to Ready, s (less is better)", groups, (("ours", times),))


def _shadow(found: Mapping[str, Any]) -> Iterator[Panel]:
    groups = tuple(found["shares"])
    for title, name in (
        ("pictures/s by share copied (more is better)", "pictures_s"),
        ("latency p95, ms (less is better)", "p95_ms"),
        ("processor time of a picture, ms", "processor_ms"),
    ):
        yield Panel(title, groups, (("ours", tuple(one[name] for one in found["shares"].values())),))


def _switch(found: Mapping[str, Any]) -> Iterator[Panel]:
    given = list(columns(found))
    bars = tuple(
        (title.replace("`", ""), tuple(figures["parts_s"][part] for _, figures in given))
        for part, title in PARTS.items()
    )
    groups = tuple(name.replace(", ", ",\n", 1) for name, _ in given)
    yield Panel("from active to the first answer of the new version, s", groups, bars, stacked=True)


def _validation(found: Mapping[str, Any]) -> Iterator[Panel]:
    for obj, writes in found["objects"].items():
        definitions = next(iter(writes.values()))
        bars = tuple((name, tuple(write[name]["cpu_ms"] for write in writes.values())) for name in definitions)
        yield Panel(f"{obj} resource: CPU of the API server, ms", tuple(name.split()[0] for name in writes), bars)


def _soak(found: Mapping[str, Any]) -> Iterator[Panel]:
    settled = found["settled_after_s"]
    yield Panel("seconds until everything added up", tuple(settled), (("operator", tuple(settled.values())),))
    for title, values in (("resident memory, MB", found["resident_mb"]), ("open files", found["open_files"])):
        shown = (min(values), median(values), max(values))
        yield Panel(f"{title}, of the operator", ("lowest", "median", "highest"), (("operator", shown),))


PANELS: Final[Mapping[str, Callable[[Mapping[str, Any]], Iterator[Panel]]]] = {
    "contention": _contention,
    "decoding": _decoding,
    "engines": _engines,
    "inference": _inference,
    "layers": _layers,
    "operator": _operator,
    "precision": _precision,
    "prefetch": _prefetch,
    "serving": _serving,
    "shadow": _shadow,
    "soak": _soak,
    "switch": _switch,
    "validation": _validation,
}
"""Makes the panels of each benchmark."""


def _bars(axes: Axes, panel: Panel) -> None:
    many = len(panel.bars)
    width = 0.8 / many
    for index, (label, values) in enumerate(panel.bars):
        places = [group + (index - (many - 1) / 2) * width for group in range(len(values))]
        heights = [0.0 if value is None else value for value in values]
        drawn = axes.bar(places, heights, width * 0.92, color=_COLOURS.get(label, _OTHERS))
        axes.bar_label(drawn, ["" if value is None else _format(value) for value in values], padding=1, fontsize=7)
    axes.set_title(panel.title, loc="left", fontsize=8)
    axes.set_xticks(range(len(panel.groups)), panel.groups)
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(y=0.12)


def _stack(axes: Axes, panel: Panel) -> None:
    """Draw one horizontal bar for each group, the first at the top; the sum is at its end."""
    rows = range(len(panel.groups))
    left = [0.0] * len(panel.groups)
    for (_, values), colour in zip(panel.bars, _PARTS, strict=True):
        widths = [value or 0.0 for value in values]
        axes.barh(rows, widths, 0.7, left=left, color=colour)
        left = [begin + width for begin, width in zip(left, widths, strict=True)]
    for row, total in zip(rows, left, strict=True):
        axes.annotate(_format(total), (total, row), xytext=(3, 0), textcoords="offset points", va="center", fontsize=7)
    axes.set_title(panel.title, loc="left", fontsize=8)
    axes.set_yticks(rows, panel.groups)
    axes.invert_yaxis()
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.08)


def _format(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def main() -> None:
    """Draw the figures of every benchmark."""
    for path in sorted(RESULTS.glob("*.json")):
        print(draw(path.stem, json.loads(path.read_text(encoding="utf-8"))))


if __name__ == "__main__":
    main()
