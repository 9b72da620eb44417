"""`candidate disagreements`: the pictures about which the candidate and the model that serves disagree."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import click

from cetacean_cli.cluster import Cluster
from cetacean_cli.disagreements import PATH, PICTURE_PATH, Answer, Disagreement, Merged, PodList, merge, parse_list
from cetacean_cli.disagreements_page import page
from cetacean_cli.errors import BadInputError, CliError, UnreachableError
from cetacean_cli.options import Output, cluster_options, name_argument, output_option
from cetacean_cli.output import echo, print_json, show, table
from cetacean_cli.pods import ready_pods
from cetacean_cli.resource import CetaceanModel
from cetacean_operator.api import names
from cetacean_registry.atomic_files import replace_file

_PARALLEL_REQUESTS: Final = 8
_PICTURE_BYTES: Final = 25 * 2**20
"""Largest file that the service takes."""
_PICTURE_SECONDS: Final = 30.0
_PAGE_BYTES: Final = 64 * 2**20
"""Most bytes of pictures in a page: browsers must open it."""


@click.command()
@name_argument
@click.option(
    "--html",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write a page with both answers side by side, and the pictures if the resource keeps them "
    "(keepDisagreements). It is one file that loads nothing and that only you may read.",
)
@output_option
@cluster_options
def disagreements(*, name: str, html: Path | None, output: Output, cluster: Cluster) -> None:
    """List the pictures about which the models of the CetaceanModel NAME disagree, the most certain first.

    Each serving pod keeps the newest 200 of its comparison, also after that has ended, until another one begins or the
    pod ends. Pods are read through the API server's proxy: you need the right to `get` `pods/proxy`. A pod that does
    not answer is listed with the error. The certainty of a disagreement is that of the less certain model: the
    probability of an accepted picture, else 1 less the gate's score.
    """
    resource = CetaceanModel.parse(cluster.get(name))
    selector = resource.status.selector
    read = _read_pods(cluster, selector) if selector else {}
    found = merge({pod: listed for pod, listed in read.items() if isinstance(listed, PodList)})
    errors = {pod: error for pod, error in read.items() if isinstance(error, str)}
    if read and len(errors) == len(read):
        pod, error = next(iter(errors.items()))
        raise UnreachableError(f"{resource.subject}: none of {len(read)} pods has answered; {pod}: {error}")
    if html is not None:
        _write(html, page(resource.subject, found, _Pictures(cluster, found).get))
    if output == "json":
        print_json(_as_json(found, errors))
    else:
        _show(resource, found)
    for pod, error in errors.items():
        echo(f"pod {pod}: {error}", err=True)
    for pod in found.others:
        echo(f"pod {pod}: lists another comparison, which is left out", err=True)
    if html is not None:
        echo(f"{html}: {len(found.disagreements)} disagreements were written", err=True)


def _read_pods(cluster: Cluster, selector: str) -> dict[str, PodList | str]:
    """Return the list of each ready pod, or the error, by the pod's name."""

    def read(pod: str) -> PodList | str:
        try:
            return parse_list(cluster.get_from_pod(pod, names.INTERNAL_PORT, PATH))
        except CliError as error:
            return error.format_message()
        except ValueError as error:
            return str(error)

    pods = ready_pods(cluster.pods(selector))
    with ThreadPoolExecutor(_PARALLEL_REQUESTS) as pool:
        return dict(zip(pods, pool.map(read, pods), strict=True))


class _Pictures:
    """Reads the kept pictures of the most certain disagreements, as far as a page has room."""

    def __init__(self, cluster: Cluster, found: Merged) -> None:
        self._cluster, self._found = cluster, found
        with ThreadPoolExecutor(_PARALLEL_REQUESTS) as pool:
            self._read = dict(self._within_bound(pool))

    def get(self, digest: str) -> bytes | None:
        """Return a picture, None without one."""
        return self._read.get(digest)

    def _within_bound(self, pool: ThreadPoolExecutor) -> list[tuple[str, bytes]]:
        kept: list[tuple[str, bytes]] = []
        room, ordered = _PAGE_BYTES, self._found.disagreements if self._found.keeping else ()
        for begin in range(0, len(ordered), _PARALLEL_REQUESTS):
            batch = ordered[begin : begin + _PARALLEL_REQUESTS]
            for one, data in zip(batch, pool.map(self._fetch, batch), strict=True):
                if data is not None and len(data) <= room:
                    kept.append((one.image_sha256, data))
                    room -= len(data)
        return kept

    def _fetch(self, one: Disagreement) -> bytes | None:
        digest = one.image_sha256
        # The pods share the volume, so any may have it; those that list it are asked first.
        for pod in (*(pod for pod in one.pods if pod in self._found.keeping), *sorted(self._found.keeping))[:2]:
            try:
                data = self._cluster.read_from_pod(
                    pod,
                    names.INTERNAL_PORT,
                    PICTURE_PATH + digest,
                    max_bytes=_PICTURE_BYTES,
                    seconds=_PICTURE_SECONDS,
                )
            except CliError:
                continue
            if hashlib.sha256(data).hexdigest() == digest:
                return data
        return None


def _write(file: Path, content: str) -> None:
    try:
        # Pictures of clients: no other user may read a new file.
        replace_file(file, content.encode("utf-8"), mode=0o600)
    except OSError as error:
        raise BadInputError(f"{file}: the page cannot be written: {error.strerror}") from error


def _as_json(found: Merged, errors: dict[str, str]) -> dict[str, Any]:
    return {
        "run": found.run,
        "served": found.served.model_dump() if found.served else None,
        "candidate": found.candidate.model_dump() if found.candidate else None,
        "disagreements": [one.report() for one in found.disagreements],
        "errors": errors,
    }


def _show(resource: CetaceanModel, found: Merged) -> None:
    if not found.disagreements:
        state = "no pod has compared a candidate" if found.run is None else "the models agree about all pictures so far"
        echo(f"{resource.subject}: {state}")
        return
    head = ("PICTURE", "DIFFERS", "SERVED", "PROBABILITY", "CANDIDATE", "PROBABILITY", "CERTAINTY")
    show(table(head, map(_row, found.disagreements)))


def _row(one: Disagreement) -> tuple[object, ...]:
    digest = one.image_sha256[:12]
    return digest, one.kind, *_cells(one.served), *_cells(one.candidate), f"{one.certainty:.4f}"


def _cells(answer: Answer) -> tuple[str, str | None]:
    if not answer.accepted:
        return f"rejected (score {answer.score:.4f})", None
    return f"{answer.species} / {answer.individual}", f"{answer.probability:.4f}"
