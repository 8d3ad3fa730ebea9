"""Scores given translations with a model: log p(target | source) in nats, one number per line.

  python bin/score.py --workdir=runs/nat --source=train.de --target=train.en --output=train.scores
  python bin/score.py --workdir=runs/janus --set=model.scores=nar --source=train.de --target=train.en

The score includes EOS and, if the model predicts a length, the length; there is no label smoothing and no length
normalisation. A target longer than the model can produce scores -inf, a source longer than it takes is cut; the log
has the number of both. The log ends with nats per target token: for a NAR model this is NCM, a corpus-level measure of
multi-modality, or an upper bound of it where the score is a lower bound of log p, as for models with latents.
"""
import math

from absl import logging

from tf_nar import program
from tf_nar.data import text

flags = program.Flags()

WORKDIR = flags.DEFINE_string("workdir", None, "The run folder of the model.", required=True)
SOURCE = flags.DEFINE_string("source", None, "Source sentences.", required=True)
TARGET = flags.DEFINE_string("target", None, "Their translations, as many lines.", required=True)
OUTPUT = flags.DEFINE_string("output", "", "The file for the scores; empty: standard output.")
SET = flags.DEFINE_multi_string("set", [], "Overrides, as model.scores=nar for janus; may be repeated.")
TOKENS = flags.DEFINE_integer("tokens_per_batch", 8192, "Padded tokens per batch and device, of each side.",
                              lower_bound=1)
TPU = flags.DEFINE_string("tpu", "", program.TPU)


def score_file() -> None:
  """Scores the pairs given by the flags."""
  from tf_nar import runs
  from tf_nar import translator
  from tf_nar.evaluate import lines
  from tf_nar.evaluate import multimodality
  from tf_nar.evaluate import progress
  model = translator.Translator(runs.load(WORKDIR.value, SET.value), tokens_per_batch=TOKENS.value)
  pairs = lines.paired(text.read(SOURCE.value), text.read(TARGET.value))
  total, tokens, unsayable = 0.0, 0, 0
  bar = progress.Progress("score", unit="pairs", quiet=not OUTPUT.value)
  with text.writing(OUTPUT.value) as write, bar:
    for log_prob, length in model.scored(pairs, bar.advance):
      write(f"{log_prob:z.6f}")
      if log_prob == -math.inf:
        unsayable += 1
      else:
        total, tokens = total + log_prob, tokens + length
  if unsayable:
    logging.warning("%d targets scored -inf, as do all of more than %d tokens with EOS.", unsayable,
                    model.run.experiment.model.net.max_length)
  if tokens:
    nats = multimodality.normalised_multimodality([total], [tokens])
    logging.info("%.4f nats per target token over %d tokens.", nats, tokens)


def main(argv: list[str]) -> None:
  program.run("score", program.on_all_devices(score_file, TPU), argv)
