"""The files that Schemathesis sends where OpenAPI names a type: pictures and archives that must be accepted."""

from __future__ import annotations

import schemathesis
from hypothesis import strategies as st

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
