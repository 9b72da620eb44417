"""A file of corrections: rows that the service takes, or one line of an error."""

from __future__ import annotations

import tempfile
from pathlib import Path

from support.fuzzing import assert_message, bounded, fuzzed
from support.mutations import mutated

from cetacean_cli.corrections import read_corrections
from cetacean_cli.errors import BadInputError
from cetacean_inference.http.feedback import Feedback

HEAD = b"class_animal,id_animal,model_version,true_class_animal,true_id_animal,image_sha256\n"
ROWS = HEAD + b"a,orca,1.0.0,,orca,\nb,orca,1.0.0-rc.1,c,beluga," + b"ab" * 32 + b"\n,unknown,0.9.0,d,orca,\n"
QUOTED = ROWS.replace(b"orca", b'"or, ""ca"').replace(b"beluga", "белуха".encode())


@fuzzed(mutated((ROWS, b"\xef\xbb\xbf" + ROWS.replace(b"\n", b"\r\n"), QUOTED)), examples=200)
def test_a_row_is_one_that_the_service_takes_or_the_file_is_an_error(content: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "corrections.csv")
        path.write_bytes(content)
        with bounded():
            try:
                rows = read_corrections(path)
            except BadInputError as error:
                assert_message(error.format_message(), longest=1000)
                return
    for row in rows:
        judged = Feedback.model_validate(row.body()).judged()
        assert (judged.species_correct, judged.individual_correct) == (row.species_correct, row.individual_correct)
