"""Run folders of tiny models, untrained, with weights large enough that their outputs differ clearly."""
import numpy as np

from tf_nar import config
from tf_nar import models
from tf_nar import runs
from tf_nar import types
from tf_nar.data import vocab as vocab_lib
from tf_nar.layers import flow_prior
from tf_nar.layers import transformer
from tf_nar.prepare import learn

LINES = ["a low house", "a new low tower", "the house is new", "lower the tower", "a slow news show"] * 20
MAX_LENGTH = 12
MORE = {"flowseq": dict(flow=flow_prior.Config((1, 1), ("half",), ffn=8))}  # Options of a family's model.

VOCABULARIES = {
  "words": lambda: vocab_lib.WordList([*types.SPECIALS, *"a the low new house tower show is".split()]),
  "bpe": lambda: learn.merges(iter(LINES), 20),
  "sentencepiece": lambda: learn.pieces(LINES, 24, character_coverage=1.0),
}


def make(folder, family, vocab, *, dtype="float32", width=16, encoder_layers=1, **search):
  """Writes a run folder and returns its path."""
  part = models.family(family)
  net = transformer.Config(
      width=width, ffn=2 * width, heads=2, encoder_layers=encoder_layers, decoder_layers=1, max_length=MAX_LENGTH,
      dtype=dtype)
  experiment = config.Experiment(family, part.Config(net, **MORE.get(family, {})), part.Search(**search))
  run = runs.create(experiment, vocab, str(folder))
  draw = np.random.default_rng(0)
  runs.save_weights({variable.path: variable.numpy() + draw.normal(0, 0.3, variable.shape).astype(np.float32)
                     for variable in run.model.variables}, str(folder))
  return str(folder)
