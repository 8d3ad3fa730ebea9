"""Small languages with one right translation: every family learns to translate unseen sentences, in one pass.

The first token of a source selects the task for the others, which are all different: copy, reverse or sort them.
"""
import numpy as np
import pytest
import tensorflow as tf

from tests.conformance import families
from tf_nar import config
from tf_nar import types
from tf_nar.models import cmlm
from tf_nar.models import janus
from tf_nar.models import lanmt
from tf_nar.train import optimizer
from tf_nar.train import step as step_lib

TASKS = {5: list, 6: lambda tokens: tokens[::-1], 7: sorted}
WORDS = range(8, 20)
SIZES = dict(width=64, ffn=128, heads=4, encoder_layers=2, decoder_layers=2)
UPDATES = 600
RECIPE = config.Optimizer(learning_rate=3e-3, warmup=100, cooldown=300)
SEARCHES = {  # The other families make one pass by default.
  "cmlm": cmlm.Search(passes=1, candidates=1), "janus": janus.Search(mode="nar", passes=1),
  "lanmt": lanmt.Search(refine="none")}


def pairs(count, draw):
  """Returns `count` pairs of ids, of 2 to 5 tokens after that of the task."""
  tasks = draw.choice(list(TASKS), count)
  tokens = [draw.permutation(WORDS)[:draw.integers(2, 6)].tolist() for _ in tasks]
  sources = [[task, *line] for task, line in zip(tasks, tokens, strict=True)]
  targets = [TASKS[task](line) for task, line in zip(tasks, tokens, strict=True)]
  return families.padded(sources, 7), families.padded(targets, 7)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(families.TINY) - {"ar", "lanmt_score"}))
def test_copies_turns_round_and_sorts_what_it_never_saw(name):
  model, draw = families.build(name, **SIZES, **families.STILL), np.random.default_rng(0)
  update = step_lib.Update(
    model, optimizer.Adam(RECIPE, model.trainable_variables, UPDATES), config.Train(optimizer=RECIPE))
  seen = set()
  for step in range(UPDATES):
    src, tgt = pairs(64, draw)
    seen.update(map(bytes, src.numpy()))
    update([families.given(model, types.Batch(src, tgt, tf.ones([64])))], step)
  src, tgt = pairs(600, draw)
  found = model.translate(src, SEARCHES.get(name, type(families.TINY[name].search)()))
  assert found.passes == 1
  new = np.array([bytes(line) not in seen for line in src.numpy()])
  right = np.array([one[one > 0].tolist() == other[other > 0].tolist()
                    for one, other in zip(found.tokens[:, 0].numpy(), tgt.numpy(), strict=True)])
  for task in TASKS:
    assert right[new & (src[:, 0] == task)].mean() > 0.97
