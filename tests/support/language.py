"""The words that the project does without, and where they stand: `python -m support.language [FOLDER…]` lists them.

Names and prose use the terms of Kubernetes and of HTTP, one meaning for each verb: log, record an Event, write status,
return. `RETIRED` holds names that had a term of the field all along.
"""

from __future__ import annotations

import ast
import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

REPOSITORY: Final = Path(__file__).parents[2]
_STEMS: Final = (
    *("tell", "tells", "telling", "told", "untold", "deed", "deeds", "doomed", "spared", "spare", "spares"),
    *("bury", "buries", "buried", "lull", "lulls", "crowd", "crowds", "crowded", "wave", "waves", "anew"),
    *("glance", "glances", "look", "looks", "looking", "looked"),
)
BANNED: Final = frozenset(_STEMS)
BANNED_IN_DOCUMENTS: Final = BANNED - {"look", "looks", "looking", "looked", "wave", "waves", "spare", "spares"}
"""Documents may send a reader to look at Grafana."""
OPENINGS: Final = frozenset({"what", "whether", "whose", "tell", "tells"})
"""A docstring, a description and a help text begin with their verb, or name the thing."""
RETIRED: Final[Mapping[str, str]] = {
    "KubeFace": "ApiClientProtocol",
    "Kube": "ApiClient",
    "Truth": "RolloutState",
    "Past": "ServingHistory",
    "Doomed": "ChildRef",
    "TakenError": "NameConflictError",
    "Announcer": "EventRecorder",
    "Asker": "PodScraper",
    "Streams": "WatchMiddleware",
    "WatchAges": "WatchLiveness",
    "Figures": "PodMetrics",
    "SPARED": "NON_BLOCKING_KINDS",
    "take_in": "store_event",
    "pressed": "has_urgent_backlog",
    "_ECHO": "CHILD_EVENT_DEBOUNCE_SECONDS",
    "_FORBIDDEN_PATIENCE": "FORBIDDEN_GRACE_SECONDS",
    "_in_hand": "processing",
    "give_way": "lower_thread_priority",
    "lanes": "num_workers",
    "PassedOver": "RejectedEngine",
    "Refused": "RequestRejected",
    "begins_as_picture": "has_image_signature",
    "asking": "confirm",
    "showing": "output",
    "changing": "patch",
}
ALLOWED: Final[Mapping[str, frozenset[str]]] = {
    "scripts/cetacean_tools/demo_models/drawing/scenes.py": frozenset({"wave", "waves"}),
}
"""Words that are meant as they are said: the sea has waves."""
_WORD: Final = re.compile(r"[A-Za-z]+")
_HELP_OF_TARGET: Final = re.compile(r"^[a-z0-9-]+:.*?## ([A-Za-z]+)")
_PART: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_PROSE: Final = (".md", ".yaml", ".yml", ".toml", ".sh", ".tpl", ".txt")
_SPEAKS_OF_WORDS: Final = frozenset({"language.py", "test_language.py"})
_GENERATED: Final = ("lock", "reports/", "benchmarks/results", "LICENSE", "CHANGELOG.md")


def faults(path: Path) -> Iterator[str]:
    """Yield one line for each word in a file that is not to be there."""
    name = str(path.relative_to(REPOSITORY))
    allowed = ALLOWED.get(name, frozenset())
    if path.suffix != ".py":
        for number, line in enumerate(path.read_text().splitlines(), start=1):
            for word in _WORD.findall(line):
                if word.lower() in BANNED_IN_DOCUMENTS - allowed:
                    yield f"{name}:{number}: {word}"
            if path.name == "Makefile" and (found := _HELP_OF_TARGET.search(line)) and found[1].lower() in OPENINGS:
                yield f"{name}:{number}: a help text begins with {found[1]!r}"
        return
    text = path.read_text()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        words = _WORD.findall(token.string)
        if token.type == tokenize.NAME:
            if token.string in RETIRED:
                yield f"{name}:{token.start[0]}: {token.string} is called {RETIRED[token.string]}"
            words = _PART.findall(token.string)
        elif token.type not in (tokenize.STRING, tokenize.COMMENT):
            continue
        for word in words:
            if word.lower() in BANNED - allowed:
                yield f"{name}:{token.start[0]}: {word}"
    for number, kind, said in _descriptions(ast.parse(text)):
        opening = _WORD.match(said)
        if opening and opening.group().lower() in OPENINGS:
            yield f"{name}:{number}: a {kind} begins with {opening.group()!r}"


def _descriptions(tree: ast.AST) -> Iterator[tuple[int, str, str]]:
    """Yield line, kind and text of each docstring, and of each `description=` and `help=` of a call."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield getattr(node, "lineno", 1), "docstring", ast.get_docstring(node) or ""
        for keyword in node.keywords if isinstance(node, ast.Call) else ():
            if keyword.arg in ("description", "help") and isinstance(keyword.value, ast.Constant):
                yield keyword.value.lineno, keyword.arg, str(keyword.value.value)


def files(*folders: str) -> Iterator[Path]:
    """Yield the files that people write, of some folders or of the whole tree."""
    command = ["git", "-C", str(REPOSITORY), "ls-files", "-co", "--exclude-standard", "--", *folders]
    for name in subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines():
        path = REPOSITORY / name
        written = not any(part in name for part in _GENERATED) and path.name not in _SPEAKS_OF_WORDS
        if written and path.is_file() and (path.suffix in (".py", *_PROSE) or path.name == "Makefile"):
            yield path


if __name__ == "__main__":
    found = [fault for path in files(*sys.argv[1:]) for fault in faults(path)]
    print("\n".join(found) or "nothing found")
    sys.exit(bool(found))
