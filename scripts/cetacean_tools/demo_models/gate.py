"""Train the anti-fraud gate: a small open_clip model that recognises drawings by the service's own prompts."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import torch
from open_clip import CLIP, SimpleTokenizer
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional

from cetacean_inference.models.gate import CLIP_MEAN, CLIP_STD, LOGIT_SCALE
from cetacean_inference.models.network import Normalise
from cetacean_inference.models.prompts import Prompts
from cetacean_tools.demo_models import recipe
from cetacean_tools.demo_models.captions import targets
from cetacean_tools.demo_models.recipe import Schedule
from cetacean_tools.demo_models.training import train

State = dict[str, Tensor]


def train_gate(
    images: Tensor, sorts: Tensor, prompts: Prompts, *, schedule: Schedule, show: Callable[[str], None]
) -> State:
    """Train both towers, so that the service's softmax over the prompts names those that describe a picture.

    Args:
        images: uint8 (N, S, S, 3).
        sorts: the sort of each, indices into `captions.SORTS`, (N,).
        prompts: the service's.
        schedule: number of passes and learning rate.
        show: called with each line about the progress.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.SEED)
        model = CLIP(**recipe.GATE_MODEL)
    with torch.no_grad():
        model.logit_scale.fill_(math.log(LOGIT_SCALE))
    model.logit_scale.requires_grad_(requires_grad=False)
    # Random vectors distinguish words as well as trained ones. To train 49,408 of them would be most of the work.
    model.token_embedding.weight.requires_grad_(requires_grad=False)
    tokens = SimpleTokenizer(context_length=model.context_length)(list(prompts.all))
    wanted = torch.from_numpy(targets(prompts)).float()
    normalise = Normalise(CLIP_MEAN, CLIP_STD)

    def loss_of(batch: Tensor, indices: Tensor) -> Tensor:
        pictures = model.encode_image(normalise(batch), normalize=True)
        texts = model.encode_text(tokens, normalize=True)
        return functional.cross_entropy(LOGIT_SCALE * pictures @ texts.T, wanted[sorts[indices]])

    fitted = (parameter for parameter in model.parameters() if parameter.requires_grad)
    train(images, loss_of, fitted, schedule=schedule, show=show)
    return {key: tensor.detach().clone().contiguous() for key, tensor in model.state_dict().items()}


def write_gate(folder: Path, state: State) -> None:
    """Write the model's description and its weights as `spec.antiFraud.model` names them."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"model_cfg": recipe.GATE_MODEL}, indent=2) + "\n", encoding="utf-8")
    weights = folder / "gate.safetensors"
    save_file(state, weights)
    weights.chmod(0o644)  # safetensors' files can be read by their owner only, and the store has another user
