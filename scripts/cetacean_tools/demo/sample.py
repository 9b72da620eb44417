"""Make the files and load the images that docs/getting-started.md uses: `make sample`.

The cluster gets the images and a namespace with a store of four small models. The folder gets

operator.yaml         values for the chart: the operator's image
whales.yaml           a CetaceanModel whose first version is active
models/registry.json  the registry that it mirrors, and reports/ with the figures
whale.jpg, boat.jpg   pictures to send
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import Any, Final

import yaml

from cetacean_registry.manifest import to_manifest
from cetacean_tools.demo import installation
from cetacean_tools.demo.environment import DRIFT, RESOURCES
from cetacean_tools.demo.installation import LoadedImages
from cetacean_tools.demo.kubectl import Kubectl
from cetacean_tools.demo_models import DemoModels, ensure_models
from cetacean_tools.demo_models.recipe import GATES
from cetacean_tools.local_cluster.prerequisites import check
from cetacean_tools.local_cluster.protocol import Cluster
from cetacean_tools.local_cluster.use import choose
from cetacean_tools.workspace import run_tool

NAME: Final = "whales"
"""Of the resource and of its namespace."""


def main() -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(
        prog="demo.sample", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, nargs="?", default=Path("sample"))
    folder: Path = parser.parse_args().folder
    return run_tool(lambda: _make(folder))


def _make(folder: Path) -> None:
    check(images=True)
    models = ensure_models(show=print)
    images, store = put_into(choose(), models)
    for file in write(folder, models, images, store):
        print(file)


def put_into(cluster: Cluster, models: DemoModels) -> tuple[LoadedImages, str]:
    """Load the images and start the store; return the images' names and the store's URL for pods."""
    built = installation.build_images(models)
    cluster.up()
    images = installation.load_images(cluster, built)
    kubectl = Kubectl(cluster.kubectl, cluster.helm, cluster.kubeconfig, cluster.context, NAME)
    installation.create_namespace(kubectl, NAME)
    return images, installation.deploy_store(kubectl, images.store, models)


def write(folder: Path, models: DemoModels, images: LoadedImages, store: str) -> list[Path]:
    """Write the files.

    Args:
        folder: made if it is missing; existing files are replaced one by one.
        models: the small models.
        images: names that the cluster's nodes know.
        store: the URL that pods fetch weights from.

    Returns:
        The files, in the order in which the page uses them.
    """
    repository, _, tag = images.operator.rpartition(":")
    registry = models.registry(store)
    # One pod, small bounds on drift, the gate of the small models.
    whales = to_manifest(
        registry,
        models.snapshots(),
        name=NAME,
        namespace=NAME,
        serving={"image": images.inference, "replicas": 1, "resources": RESOURCES},
        anti_fraud=models.anti_fraud(store),
        gates=GATES,
        drift=DRIFT,
    )
    texts = {
        "operator.yaml": _yaml({"image": {"repository": repository, "tag": tag}}),
        f"{NAME}.yaml": _yaml(whales),
        "models/registry.json": registry.to_json(),
    }
    copies = {f"reports/{report.name}": report for report in sorted(models.folder.glob("reports/*.json*"))}
    copies |= {"whale.jpg": models.cetaceans[0], "boat.jpg": models.others[0]}
    for name, text in texts.items():
        _place(folder, name).write_text(text, encoding="utf-8")
    for name, source in copies.items():
        shutil.copyfile(source, _place(folder, name))
    return [folder / name for name in (*texts, *copies)]


def _yaml(content: dict[str, Any]) -> str:
    return yaml.safe_dump(content, sort_keys=False, width=120)


def _place(folder: Path, name: str) -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    return file


if __name__ == "__main__":
    raise SystemExit(main())
