"""New categories for a trained detector: one function a step, for `omnidet finetune` and the
pipeline.

    notice -> read -> shards -> vocabulary -> zero_shot -> train -> evaluate -> gate -> register

Nothing that exists is touched before the last step, and that one changes the alias only if it still
points to the champion that all the others started from. Callers use this module,
`retrain.train(...)`, and need not know which file a step is in.
"""

from omnidet.steps.retrain.champion import (
    BY_OPTION,
    BY_PARAMETER,
    TAUGHT,
    Notice,
    base_recipe,
    check_name,
    data_version,
    doubt_of_replay,
    find_champion,
    notice,
    replay_of,
    require_current,
    require_whole,
)
from omnidet.steps.retrain.data import (
    build_shards,
    count_boxes,
    extend_vocabulary,
    read,
    require_boxes,
)
from omnidet.steps.retrain.evaluation import evaluate
from omnidet.steps.retrain.judging import gate, remedies
from omnidet.steps.retrain.keeping import kept, line_of, require_measured
from omnidet.steps.retrain.refusals import Attempt, forget, recall, remember
from omnidet.steps.retrain.registration import register
from omnidet.steps.retrain.training import recipe_for, train, zero_shot

__all__ = [
    "BY_OPTION",
    "BY_PARAMETER",
    "TAUGHT",
    "Attempt",
    "Notice",
    "base_recipe",
    "build_shards",
    "check_name",
    "count_boxes",
    "data_version",
    "doubt_of_replay",
    "evaluate",
    "extend_vocabulary",
    "find_champion",
    "forget",
    "gate",
    "kept",
    "line_of",
    "notice",
    "read",
    "recall",
    "recipe_for",
    "register",
    "remedies",
    "remember",
    "replay_of",
    "require_boxes",
    "require_current",
    "require_measured",
    "require_whole",
    "train",
    "zero_shot",
]
