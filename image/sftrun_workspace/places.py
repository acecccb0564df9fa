"""Where things lie in a workspace, as the trainer has it; a test holds both to each other."""

from __future__ import annotations

import re

MODELS = "artifacts/model"
ARCHIVES = "artifacts/archives"
TOKENIZED = ".cache/sftrun/tokenized"
TRIALS = ".cache/sftrun/trials"
LINKED_MODELS = ".cache/sftrun/models"
SHARED_CACHES = {
    ".cache/triton": "compiled kernels",
    ".cache/torch": "compiled graphs and extensions",
    ".cache/matplotlib": "fonts of plots",
    ".cache/wandb/cache": "files that wandb has fetched",
}
"""wandb's own folder stays: it holds curves that may still have to be synced."""
HUB_CACHES = {
    ".cache/huggingface/hub": "models and data of the hub",
    ".cache/huggingface/datasets": "data sets prepared by the hub's library",
    ".cache/huggingface/xet": "pieces that the hub's library keeps",
}

STATE = ".sftrun"
LOCK = "lock.json"
CLAIM = "claim.json"
REGISTER_MARKER = "stages/register.json"
TRAINING_END = "training.json"
REPORT = "sftrun-report.json"
TRAINER_STATE = "trainer_state.json"
CHECKPOINT = re.compile(r"checkpoint-([1-9]\d{0,17})")
ARCHIVE = re.compile(r"(?P<run>.+)-(?P<uid>[0-9a-f]{5})-\d+")
REMAINS = ".sftrun-removed-"
"""How a folder is called while it is being removed."""
