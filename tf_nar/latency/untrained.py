"""Makes untrained runs to measure the speed of a model size: random weights, and planted output lengths.

The time of a translation depends on its length, not on its tokens. So all weights keep their initial values, except:
  - EOS has the bias `NEVER`: the AR model decodes up to its limit, the length of its source (search.extra_length=0);
    no output of the NAR model is cut off at an EOS;
  - the NAR model's length head is fitted by least squares to predict the source's length for the given sentences; a
    head of differences is given biases that fall with the difference, so that other candidates are near it.
"""
import dataclasses
from typing import Any, Iterable

import numpy as np
import tensorflow as tf

from tf_nar import config
from tf_nar import models
from tf_nar import runs
from tf_nar import types
from tf_nar.data import shortlist as shortlist_lib
from tf_nar.layers import encoder_decoder
from tf_nar.layers import lengths as lengths_lib

NEVER = -100.0  # Bias of EOS in the output layer.
STEEP = 100.0  # Fall of the biases of differences with each token, above what random weights add to them.
RIDGE = 1e-4  # Ridge penalty, relative to the mean square of a feature.


def make(path: str, vocab: Any, lines: Iterable[str], workdir: str, settings: Iterable[str] = ()) -> None:
  """Writes a run folder.

  Args:
    path: a config of `ar` or of a family with a length head.
    vocab: the vocabulary, as from `texts.vocabulary`.
    lines: the sentences to which the length head is fitted.
    workdir: the run folder to write.
    settings: overrides of the config, as "model.net.encoder_layers=12".

  Raises:
    ValueError: for a config of another family, or if lengths cannot be planted.
  """
  experiment = config.load(path, config.Experiment, settings)
  sizes = dataclasses.replace(experiment.model.net, vocab=0)
  experiment = dataclasses.replace(experiment, model=dataclasses.replace(experiment.model, net=sizes))
  if "limit" in models.traits(experiment.family).offers:
    experiment = config.override(experiment, "search.extra_length=0")
  run = runs.create(experiment, vocab, workdir)
  net = encoder_decoder.of(run.model)
  offsets = [layer for layer in run.model._flatten_layers() if isinstance(layer, lengths_lib.Offsets)]
  if net and net.length is None and not offsets:
    raise ValueError(f"{path} is of the family {experiment.family}, which has no length head; give a config of ar "
                     "or of a family that has one, such as nat_em.")
  weights = {variable.path: variable.numpy() for variable in run.model.variables}
  weights[(net or run.model).embed.bias.path][types.EOS] = NEVER
  for head in offsets:
    differences = np.arange(-lengths_lib.REACH, lengths_lib.REACH + 1, dtype=np.float32)
    weights[head.out.bias.path] = -STEEP * np.abs(differences)
  if net and net.length is not None:
    weights[net.length.path] = _lengths(net, [[*vocab.source.encode(line), types.EOS] for line in lines])
  runs.save_weights(weights, workdir)


def shortlist(vocab: Any, tokens: int, words: int, path: str) -> None:
  """Writes a shortlist of random tokens: `tokens` for a sentence of `words` words, half of them the same for all.

  Raises:
    ValueError: for a number of tokens that is out of range.
  """
  least = 2 * len(types.SPECIALS)
  if not least <= tokens <= len(vocab):
    raise ValueError(f"A shortlist of random tokens has {least} to {len(vocab)} tokens; got {tokens}.")
  draw, size, frequent = np.random.default_rng(0), len(vocab), tokens // 2
  drawn = len(types.SPECIALS) + draw.permutation(size - len(types.SPECIALS))
  common = [*range(len(types.SPECIALS)), *drawn[:frequent - len(types.SPECIALS)]]
  likely = draw.integers(len(types.SPECIALS), size, [size, -(-(tokens - frequent) // (words + 1))])  # 1: EOS.
  shortlist_lib.write(path, shortlist_lib.Shortlist(
    likely.astype(np.int32), np.array(common, np.int32), np.array(vocab.sha256)))


def _lengths(net, sources):
  """Returns weights float32 [max_length + 1, D] of a length head that gives each source its own length."""
  ids = tf.ragged.constant(sources, tf.int32).to_tensor(types.PAD)
  slots = np.concatenate([tf.cast(net.encode(part).states[:, 0], tf.float32) for part in np.array_split(ids, 8)
                          if len(part)])  # [n, D]
  lengths = np.array([len(source) for source in sources])
  wanted = np.eye(net.config.max_length + 1, dtype=np.float32)[lengths]  # [n, L]
  square = slots.T @ slots
  ridge = RIDGE * np.trace(square) / len(square) * np.eye(len(square))
  fitted = np.linalg.solve(square + ridge, slots.T @ wanted).T.astype(np.float32)
  missed = int(np.sum((slots @ fitted.T).argmax(-1) != lengths))
  if missed:
    raise ValueError(f"The length of {missed} of {len(lengths)} sentences cannot be planted in a net of width "
                     f"{slots.shape[1]}; give fewer --sentences, or a larger net.")
  return fitted
