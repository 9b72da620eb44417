"""The payload of a signature: an in-toto statement with the predicate of OpenSSF Model Signing 1.0."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from cetacean_registry.errors import describe
from cetacean_signing.errors import SignatureError

MOST_FILES: Final = 4096
"""Files in one signature."""
IGNORED: Final = (".git", ".gitattributes", ".github", ".gitignore")
"""The format leaves these out of every signature."""
_Hex = Annotated[str, Field(pattern=r"^([0-9a-f]{2}){1,64}$")]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", validate_by_name=True, validate_by_alias=True)


class Resource(_Part):
    """A file, by its path relative to the folder that was signed."""

    name: Annotated[str, Field(min_length=1, max_length=4096)]
    digest: _Hex
    algorithm: Annotated[str, Field(max_length=64)]


class Serialization(_Part):
    """How the files were hashed."""

    method: Annotated[str, Field(max_length=64)]
    hash_type: Annotated[str, Field(max_length=64)]
    allow_symlinks: bool
    ignore_paths: tuple[str, ...] = ()


class Predicate(_Part):
    """The signed files."""

    resources: Annotated[tuple[Resource, ...], Field(min_length=1, max_length=MOST_FILES)]
    serialization: Serialization


class Subject(_Part):
    """The model as a whole; its digest is over those of the files."""

    name: Annotated[str, Field(min_length=1, max_length=4096)]
    digest: Annotated[dict[str, str], Field(max_length=8)]


class Statement(_Part):
    """The signed statement."""

    type: Literal["https://in-toto.io/Statement/v1"] = Field(alias="_type")
    subject: Annotated[tuple[Subject, ...], Field(min_length=1, max_length=1)]
    predicate_type: Literal["https://model_signing/signature/v1.0"] = Field(alias="predicateType")
    predicate: Predicate

    @classmethod
    def parse(cls, payload: bytes) -> Self:
        """Read a payload whose signature was verified.

        Raises:
            SignatureError: it is no statement about whole files with SHA-256.
        """
        try:
            statement = cls.model_validate_json(payload)
        except ValidationError as error:
            raise SignatureError(f"expected a statement of OpenSSF Model Signing 1.0: {describe(error)}") from error
        how = statement.predicate.serialization
        algorithms = {how.hash_type, *(resource.algorithm for resource in statement.predicate.resources)}
        if how.method != "files" or algorithms != {"sha256"}:
            found = f"{how.method} with {', '.join(sorted(algorithms))}"
            raise SignatureError(
                f"expected whole files with sha256 (the default of model_signing), got {found}: sign them again"
            )
        return statement

    @classmethod
    def of(cls, files: Mapping[str, str], *, subject: str) -> Self:
        """Build the statement about files.

        Args:
            files: SHA-256 of each, 64 hex digits, by its path relative to the signed folder.
            subject: the folder's name, for people.
        """
        resources = tuple(Resource(name=name, digest=files[name], algorithm="sha256") for name in sorted(files))
        return cls(
            type="https://in-toto.io/Statement/v1",
            subject=(Subject(name=subject, digest={"sha256": root_digest(resources)}),),
            predicate_type="https://model_signing/signature/v1.0",
            predicate=Predicate(
                resources=resources,
                serialization=Serialization(
                    method="files", hash_type="sha256", allow_symlinks=False, ignore_paths=IGNORED
                ),
            ),
        )

    def digests(self) -> dict[str, str]:
        """Return the SHA-256 of each file by its name.

        Raises:
            SignatureError: the statement contradicts itself.
        """
        resources = self.predicate.resources
        twice = [name for name, count in Counter(resource.name for resource in resources).items() if count > 1]
        if twice:
            raise SignatureError(f"expected each file once, got {twice[0]} more than once")
        if (found := root_digest(resources)) != (expected := self.subject[0].digest.get("sha256")):
            raise SignatureError(f"expected sha256:{expected} over the digests of all files, got sha256:{found}")
        return {resource.name: resource.digest for resource in resources}

    def to_json(self) -> bytes:
        """Return the payload."""
        return self.model_dump_json(by_alias=True).encode()


def root_digest(resources: tuple[Resource, ...]) -> str:
    """Return the SHA-256 over the digests of all files in their order."""
    return hashlib.sha256(b"".join(bytes.fromhex(resource.digest) for resource in resources)).hexdigest()
