"""The model families, by the names that configs and runs use."""
import dataclasses
from types import ModuleType
from typing import Any

import keras
import numpy as np

from tf_nar import config as core_config
from tf_nar import family as family_lib
from tf_nar.layers import encoder_decoder
from tf_nar.layers import transformer
from tf_nar.models import ar
from tf_nar.models import cmlm
from tf_nar.models import ctc
from tf_nar.models import dag
from tf_nar.models import flowseq
from tf_nar.models import glat
from tf_nar.models import janus
from tf_nar.models import lanmt
from tf_nar.models import lanmt_score
from tf_nar.models import latent_codes
from tf_nar.models import nat_em
from tf_nar.models import nat_fertility
from tf_nar.models import refinement

FAMILIES = {
  "ar": ar,
  "cmlm": cmlm,
  "ctc": ctc,
  "dag": dag,
  "flowseq": flowseq,
  "glat": glat,
  "janus": janus,
  "lanmt": lanmt,
  "lanmt_score": lanmt_score,
  "latent_codes": latent_codes,
  "nat_em": nat_em,
  "nat_fertility": nat_fertility,
  "refinement": refinement,
}


def family(name: str) -> ModuleType:
  """Returns the module of a family: its `Config`, `Search`, `Model` and `TRAITS`."""
  if name not in FAMILIES:
    raise ValueError(f"No model family {name!r}; there are: {', '.join(sorted(FAMILIES))}.")
  return FAMILIES[name]


def traits(name: str) -> family_lib.Traits:
  """Returns the `family.Traits` of a family."""
  return family(name).TRAITS


def check(experiment: core_config.Experiment) -> None:
  """Checks that an experiment's model and search belong to the family that it names, and to each other.

  Raises:
    ValueError: if one does not, or if the family is unknown.
  """
  module = family(experiment.family)
  for part, kind in (("model", module.Config), ("search", module.Search)):
    if type(got := getattr(experiment, part)) is not kind:
      raise ValueError(f"family={experiment.family} goes with a {part} of {_called(kind)}, not of {_called(type(got))};"
                       " take a config of that family.")
  module.TRAITS.check(experiment.model, experiment.search)


def _called(kind):
  return f"{kind.__module__.rpartition('.')[2]}.{kind.__qualname__}"


def build(
    name: str, config: Any, vocab: int, repeatable: list[bool] | None = None, source_vocab: int = 0) -> keras.Model:
  """Returns an untrained model.

  Args:
    name: a key of `FAMILIES`.
    config: that family's `Config`; the `vocab` of its nets may be 0.
    vocab: V, the size of the data's vocabulary.
    repeatable: list of V bools, True for the parts of words that ODD lets stand twice in a row; None: not known.
    source_vocab: the size of a separate source vocabulary; 0: there is none, as V tokens are of both languages.

  Raises:
    ValueError: for an unknown family, a config made for another vocabulary size, or two variables with one path.
  """
  model = family(name).Model(filled(config, vocab, source_vocab))
  paths = [variable.path for variable in model.variables]
  if twice := sorted({path for path in paths if paths.count(path) > 1}):
    raise ValueError(f"Two variables of {name} have the path {twice[0]!r}, by which a run saves them; give the layer "
                     "that owns one of them a name of its own.")
  for layer in model._flatten_layers():
    if isinstance(layer, encoder_decoder.EncoderDecoder):
      layer.repeatable = repeatable and np.array(repeatable)
  return model


def filled(config: Any, vocab: int, source_vocab: int = 0) -> Any:
  """Returns a tree of dataclasses with the sizes of the vocabularies set in every `transformer.Config`; see `build`.

  Raises:
    ValueError: for a `transformer.Config` with another vocabulary size.
  """
  if isinstance(config, transformer.Config):
    for name, size in (("vocab", vocab), ("source_vocab", source_vocab)):
      if getattr(config, name) not in (0, size):
        raise ValueError(
          f"The model has net.{name}={getattr(config, name)} tokens, the data {size}; "
          f"leave net.{name} at 0, or use the data folder that the model was made for.")
    return dataclasses.replace(config, vocab=vocab, source_vocab=source_vocab)
  if not dataclasses.is_dataclass(config):
    return config
  parts = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
  return dataclasses.replace(config, **{
    name: filled(part, vocab, source_vocab) for name, part in parts.items() if dataclasses.is_dataclass(part)})
