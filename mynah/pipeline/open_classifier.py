"""Open what a build learned to tell classes by."""

from __future__ import annotations

from pathlib import Path

from mynah import artifacts
from mynah.device import pick_device
from mynah.errors import ArtifactError
from mynah.stages import RunPaths
from mynah.tune.classify.classifier import TextClassifier
from mynah.tune.classify.several import SeveralClassifier


def open_classifier(directory: Path | str, device: str = "auto") -> TextClassifier | SeveralClassifier:
    """Open the classifier of a run, or a folder that `Classifier.save` wrote, every file checked against its hash.

    Raises:
        ArtifactError: if there is none, or a file is missing or damaged.
        ConfigError: if the base that it rests on is not here any more.
    """
    directory = Path(directory)
    folder = RunPaths(directory).classifier
    if not (folder / artifacts.MANIFEST).is_file():
        folder = directory
    if not (folder / artifacts.MANIFEST).is_file() or not (folder / "classifier.json").is_file():
        raise ArtifactError(
            f"{directory}: holds no classifier; expected a run of mynah build over texts with classes: "
            "mynah build reviews.csv --task classify"
        )
    artifacts.read_manifest(folder)
    if "several" in artifacts.read_json(folder / "classifier.json"):
        return SeveralClassifier.load(folder, pick_device(device))
    return TextClassifier.load(folder, pick_device(device))
