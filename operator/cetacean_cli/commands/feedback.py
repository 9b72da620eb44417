"""`feedback`: the live accuracy by clients' feedback, and corrections from a file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from cetacean_cli.cluster import Cluster
from cetacean_cli.confirm import Change, Proposal, confirm_and_apply
from cetacean_cli.corrections import Correction, read_corrections
from cetacean_cli.errors import BadInputError, CliError, RefusedError
from cetacean_cli.options import ChangeFlags, change_options, cluster_options, name_argument
from cetacean_cli.output import echo, print_json, show, table
from cetacean_cli.resource import CetaceanModel
from cetacean_operator.api.status import LiveAccuracy

_PATH = "/v1/feedback"


@click.command()
@name_argument
@click.option(
    "-f",
    "--file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="CSV file with the columns class_animal, id_animal and model_version of the answers, true_id_animal and, if "
    "they are known, true_class_animal and image_sha256.",
)
@click.option(
    "--from-line",
    type=click.IntRange(min=2),
    default=2,
    metavar="LINE",
    help="First line of the file to send; the header is line 1.",
)
@change_options
@cluster_options
def feedback(*, name: str, file: Path | None, from_line: int, flags: ChangeFlags, cluster: Cluster) -> None:
    """Show how often the answers of the CetaceanModel NAME were right, or send corrections.

    Without --file the command shows the status: the live accuracy of each model version that has feedback, with its
    95 % interval. With --file it sends each row as one feedback to the pods, through the API server's proxy; you need
    the right to `create` `services/proxy`. Write `unknown` as true_id_animal of a picture that shows no marine mammal.
    A row that is sent twice counts twice.
    """
    resource = CetaceanModel.parse(cluster.get(name))
    if file is None:
        _show(resource, flags)
        return
    rows = read_corrections(file)
    wanted = [row for row in rows if row.line >= from_line]
    if not wanted:
        raise BadInputError(f"{file}: expected a row from line {from_line} on, the last one is in line {rows[-1].line}")

    def apply() -> dict[str, Any]:
        return {} if flags.dry_run else {"counted": _send(cluster, name, file, wanted)}

    proposal = Proposal(subject=resource.subject, changes=tuple(_changes(wanted)))
    confirm_and_apply(proposal, apply, flags=flags, done=f"{_rows(len(wanted))} counted")


def _send(cluster: Cluster, name: str, file: Path, rows: Sequence[Correction]) -> int:
    for number, row in enumerate(rows):
        begin, end = f"{file}: line {row.line}", f"{_rows(number)} counted: continue with --from-line {row.line}"
        try:
            cluster.post_to_service(name, "http", _PATH, row.body())
        except CliError as error:
            raise type(error)(f"{begin}: {error.message}; {end}") from error
        except KeyboardInterrupt as error:
            raise RefusedError(f"{begin}: interrupted; {end}") from error
    return len(rows)


def _changes(rows: Sequence[Correction]) -> Iterator[Change]:
    for version in sorted({row.model_version for row in rows}):
        found = [row for row in rows if row.model_version == version]
        known = [row for row in found if row.individual_correct is not None]
        text = (
            f"{len(found)} answer{'s' * (len(found) != 1)}: {sum(row.species_correct for row in found)} with the right "
            f"species; {len(known)} with a known individual, {sum(bool(row.individual_correct) for row in known)} right"
        )
        yield Change(f"feedback on {version}", None, text)


def _rows(number: int) -> str:
    return "1 row was" if number == 1 else f"{number} rows were"


def _show(resource: CetaceanModel, flags: ChangeFlags) -> None:
    found = resource.status.feedback or ()
    if flags.output == "json":
        print_json({"feedback": [one.wire() for one in found]})
    elif not found:
        echo(f"{resource.subject}: no feedback on the answers of the present pods")
    else:
        head = ("VERSION", "MODEL", "SPECIES RIGHT", "SHARE", "INDIVIDUAL RIGHT", "SHARE")
        rows = [(one.version, one.model, *_cells(one.species), *_cells(one.individual)) for one in found]
        show(table(head, rows))


def _cells(accuracy: LiveAccuracy | None) -> tuple[str | None, str | None]:
    if accuracy is None:
        return None, None
    return (
        f"{accuracy.correct} of {accuracy.samples}",
        f"{accuracy.accuracy:g} ({accuracy.low:g} to {accuracy.high:g})",
    )
