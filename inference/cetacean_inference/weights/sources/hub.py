"""hf://organisation/repository/path[@revision]: files of the Hugging Face Hub, which HTTP serves."""

from __future__ import annotations

import posixpath

from huggingface_hub import hf_hub_url

from cetacean_inference.errors import ConfigInvalid
from cetacean_inference.messages import one_line
from cetacean_inference.weights.sources.http import HttpSource


class HubSource(HttpSource):
    """A file of a repository on the Hub."""

    @staticmethod
    def sibling(url: str, name: str) -> str:
        """Return the URL of the file `name` in the folder of `url`, of the same revision."""
        repository, path, revision = _parsed(url)
        beside = posixpath.join(posixpath.dirname(path), name)
        return f"hf://{repository}/{beside}" + (f"@{revision}" if revision else "")

    @staticmethod
    def file_name(url: str) -> str:
        """Return the name of the file, without the revision."""
        return posixpath.basename(_parsed(url)[1])

    def requested(self) -> str:
        """Return the https URL of the file.

        Raises:
            ConfigInvalid: it is no URL of the Hub.
        """
        repository, path, revision = _parsed(self.url)
        endpoint = self.settings.hf_endpoint.rstrip("/")
        try:
            return str(hf_hub_url(repository, path, revision=revision, endpoint=endpoint))
        except ValueError as error:
            raise ConfigInvalid(
                f"{self.url}: expected hf://organisation/repository/path[@revision]: {one_line(error)}"
            ) from error


def _parsed(url: str) -> tuple[str, str, str | None]:
    """Split a URL into repository, path and revision.

    Raises:
        ConfigInvalid: a part is missing.
    """
    organisation, _, rest = url.removeprefix("hf://").partition("/")
    repository, _, rest = rest.partition("/")
    path, _, revision = rest.partition("@")
    if not (organisation and repository and path):
        raise ConfigInvalid(f"{url}: expected hf://organisation/repository/path[@revision]")
    return f"{organisation}/{repository}", path, revision or None
