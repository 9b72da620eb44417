"""The page of disagreements: one HTML file that loads nothing, for people who know the animals.

Names of classes come from pods and weights, so every text is escaped, and the page's own policy forbids scripts.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping
from html import escape
from typing import Final

from cetacean_cli.disagreements import Answer, ComparedModel, Disagreement, Kind, Merged

_STYLE: Final = """
:root { color-scheme: light dark; --line: #8886; --mark: #b4530a; }
@media (prefers-color-scheme: dark) { :root { --mark: #f0a35e; } }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; margin: 0; }
h2 { font-size: 1rem; margin: 0 0 .5rem; }
article { display: grid; grid-template-columns: minmax(12rem, 20rem) 1fr; gap: 1.5rem; padding: 1.5rem 0;
  border-top: 1px solid var(--line); break-inside: avoid; }
@media (max-width: 40rem) { article { grid-template-columns: 1fr; } }
img { width: 100%; max-height: 20rem; object-fit: contain; object-position: left top; }
.none { border: 1px dashed var(--line); border-radius: 4px; padding: 1rem; margin: 0; }
code { font-size: .8rem; overflow-wrap: anywhere; }
table { border-collapse: collapse; width: 100%; table-layout: fixed; }
th, td { text-align: left; vertical-align: top; padding: .25rem .75rem .25rem 0; overflow-wrap: anywhere; }
th[scope=col]:first-child { width: 6rem; }
th[scope=row] { font-weight: normal; opacity: .75; }
tr.differs td { color: var(--mark); font-weight: bold; }
meter { width: 6rem; vertical-align: middle; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0 1rem; margin: 1rem 0; }
dd { margin: 0; overflow-wrap: anywhere; }
"""
_DIFFERS: Final[Mapping[Kind, str]] = {
    "acceptance": "One model accepts the picture, the other rejects it",
    "species": "Different species",
    "individual": "The same species, different individuals",
}
_INTRODUCTION: Final = (
    "Both models have answered these pictures, and they disagree. <em>Served</em> is the model whose answers clients "
    "have got; <em>candidate</em> is the model that may replace it. Which of them is right is for you to judge. "
    "The disagreements of which both models are most certain come first."
)


def page(subject: str, found: Merged, picture: Callable[[str], bytes | None]) -> str:
    """Return the page.

    Args:
        subject: the resource, as messages name it.
        found: the disagreements.
        picture: returns a picture by its digest, None if it is not kept.
    """
    hashed = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
    policy = f"default-src 'none'; img-src data:; style-src 'sha256-{hashed}'; base-uri 'none'; form-action 'none'"
    title = f"Disagreements of {escape(subject)}"
    articles = "\n".join(_article(number, one, picture) for number, one in enumerate(found.disagreements, 1))
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width">
<meta name="referrer" content="no-referrer">
<title>{title}</title>
<style>{_STYLE}</style>
</head>
<body>
<header>
<h1>{title}</h1>
<p>{_INTRODUCTION}</p>
<dl>
<dt>Served</dt><dd>{_model(found.served)}</dd>
<dt>Candidate</dt><dd>{_model(found.candidate)}</dd>
<dt>Pictures</dt><dd>{len(found.disagreements)}</dd>
</dl>
</header>
<main>
{articles or "<p>No pod has listed a disagreement.</p>"}
</main>
</body>
</html>
"""


def _model(model: ComparedModel | None) -> str:
    if model is None:
        return "-"
    return f"{escape(model.name)} {escape(model.version)} <code>sha256:{escape(model.sha256[:12])}…</code>"


def _article(number: int, one: Disagreement, picture: Callable[[str], bytes | None]) -> str:
    served, candidate = one.served, one.candidate
    both = served.accepted and candidate.accepted
    rows = (
        _row("Gate", _accepted(served), _accepted(candidate), differs=one.kind == "acceptance"),
        _row("Species", *map(_species, (served, candidate)), differs=both and one.kind == "species"),
        _row(
            "Individual",
            *map(_individual, (served, candidate)),
            differs=both and served.individual != candidate.individual,
        ),
        _row("Probability", _probability(served), _probability(candidate)),
    )
    return f"""<article>
<div>{_picture(number, one.image_sha256, picture(one.image_sha256))}</div>
<section>
<h2>{number}. {_DIFFERS[one.kind]}</h2>
<table>
<thead><tr><th scope="col"></th><th scope="col">Served</th><th scope="col">Candidate</th></tr></thead>
<tbody>
{"".join(rows)}</tbody>
</table>
<p><code>sha256 {escape(one.image_sha256)}</code></p>
</section>
</article>"""


def _row(name: str, served: str, candidate: str, *, differs: bool = False) -> str:
    mark = ' class="differs"' if differs else ""
    return f'<tr{mark}><th scope="row">{name}</th><td>{served}</td><td>{candidate}</td></tr>\n'


def _accepted(answer: Answer) -> str:
    verb = "accepts" if answer.accepted else "rejects"
    return f"{verb}, score {_number(answer.score)}"


def _species(answer: Answer) -> str:
    return escape(answer.species) if answer.accepted else "-"


def _individual(answer: Answer) -> str:
    return escape(answer.individual) if answer.accepted else "-"


def _probability(answer: Answer) -> str:
    if not answer.accepted:
        return "-"
    value = _number(answer.probability)
    return f'<meter min="0" max="1" value="{value}">{value}</meter> {value}'


def _number(value: float) -> str:
    return f"{value:.4f}"


def _picture(number: int, digest: str, data: bytes | None) -> str:
    if data is None:
        return '<p class="none">The picture is not kept. Its digest is below.</p>'
    kind = media_type(data)
    if kind is None:
        return '<p class="none">Browsers cannot show a picture of this format. Its digest is below.</p>'
    content = base64.b64encode(data).decode()
    return f'<img alt="Picture {number}, sha256 {escape(digest[:12])}" src="data:{kind};base64,{content}">'


def media_type(data: bytes) -> str | None:
    """Return the type of a picture that every browser shows, by its first bytes; None for any other file."""
    if data.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "image/webp"
    return "image/bmp" if data.startswith(b"BM") else None
