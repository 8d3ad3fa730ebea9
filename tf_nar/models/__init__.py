"""Every model family, by the name that a config and a run use for it."""
import dataclasses

import numpy as np

from tf_nar.models import ar
from tf_nar.models import cmlm
from tf_nar.models import ctc
from tf_nar.models import dag
from tf_nar.models import glat
from tf_nar.models import nat_em
from tf_nar.models import nat_fertility

FAMILIES = {
  "ar": ar,
  "cmlm": cmlm,
  "ctc": ctc,
  "dag": dag,
  "glat": glat,
  "nat_em": nat_em,
  "nat_fertility": nat_fertility,
}


def family(name):
  """Returns the module of a family: its `Config`, `Search` and `Model`."""
  if name not in FAMILIES:
    raise ValueError(f"No model family {name!r}; there are: {', '.join(sorted(FAMILIES))}.")
  return FAMILIES[name]


def check(experiment):
  """Refuses an experiment whose model or search is of another family than it names.

  Raises:
    ValueError: for that, or an unknown family.
  """
  module = family(experiment.family)
  for part, kind in (("model", module.Config), ("search", module.Search)):
    if type(got := getattr(experiment, part)) is not kind:
      raise ValueError(f"family={experiment.family} goes with a {part} of {_called(kind)}, not of {_called(type(got))};"
                       " take a config of that family.")


def _called(kind):
  return f"{kind.__module__.rpartition('.')[2]}.{kind.__qualname__}"


def build(name, config, vocab, within_words=None):
  """Returns an untrained model.

  Args:
    name: a key of `FAMILIES`.
    config: that family's `Config`; `config.net.vocab` may be 0.
    vocab: words of the data's vocabulary.
    within_words: of each of them whether two in a row stand within a word, list of bool; None: not known.

  Raises:
    ValueError: for an unknown family, or a config made for another vocabulary.
  """
  if config.net.vocab not in (0, vocab):
    raise ValueError(
      f"The model has net.vocab={config.net.vocab} words, the data {vocab}; "
      "leave net.vocab at 0, or use the data folder that the model was made for.")
  net = dataclasses.replace(config.net, vocab=vocab)
  model = family(name).Model(dataclasses.replace(config, net=net))
  paths = {v.path for v in model.variables}
  assert len(paths) == len(model.variables), "A run keeps weights by path, so no two may share one."
  if hasattr(model, "net"):
    model.net.within_words = within_words and np.array(within_words)
  return model
