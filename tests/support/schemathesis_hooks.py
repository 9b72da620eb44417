"""For forms, beside OpenAPI: the files that must be accepted for a type, and how many fields are read."""

from __future__ import annotations

from typing import Any

import schemathesis
from hypothesis import strategies as st

from cetacean_inference.http.multipart import MAX_FIELDS
from cetacean_inference.http.predict import PICTURE_TYPES, ZIP_TYPES
from support.pictures import archive, picture

SIZES = st.tuples(st.integers(1, 60), st.integers(1, 60))

for media_type in PICTURE_TYPES:
    kind = media_type.removeprefix("image/").upper()
    # Hypothesis draws from the default argument: the loop's variable changes.
    pictures = st.builds(lambda size, kind=kind: picture(size=size, kind=kind), SIZES)
    schemathesis.openapi.media_type(media_type, pictures)

ENTRIES = st.tuples(st.sampled_from(("a.png", "folder/b.png", "notes.txt", "кит.png")), st.builds(picture, size=SIZES))
ARCHIVES = st.lists(ENTRIES, max_size=3, unique_by=lambda entry: entry[0]).map(archive)
schemathesis.openapi.media_type("application/zip", ARCHIVES, aliases=sorted(ZIP_TYPES - {"application/zip"}))


@schemathesis.hook
def filter_body(_: schemathesis.HookContext, body: Any) -> bool:
    """Leave out forms with more fields than are read; a list is sent as a field for each of its items."""
    fields = getattr(body, "body", body)  # a form comes with the types of its files
    if not isinstance(fields, dict):
        return True
    return sum(len(value) if isinstance(value, list) else 1 for value in fields.values()) <= MAX_FIELDS
