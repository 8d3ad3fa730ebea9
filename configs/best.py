"""A single-pass NAR model for your own text: as configs/best_multi30k.py, with sizes that suit the data folder.

  python bin/em.py --config=configs/best.py --data_dir=data/mine --workdir=runs/mine --export=runs/mine/saved_model

The manifest of the data folder determines the sizes: models are tiny below 200,000 pairs, small below 2,000,000, and of
base size beyond; batches are smaller below some 9,000 pairs; the number of updates follows from the target tokens, for
a fixed number of epochs within bounds; the other durations are shares of the updates. --print_config with --data_dir
prints the result. For another budget set the minutes or the updates of each training:

  --set=teacher.train.minutes=30 --set=student.train.minutes=30 --set=student.phases.bigrams.train.minutes=5
  --set=teacher.train.steps=4000 --set=student.phases.distilled.train.steps=2000

Minutes limit the updates of a training, without its validations; cooldown and glancing shrink in proportion, the
warm-up to half of the updates at most, with a lower peak of the learning rate. They do not change with another number
of updates, so set train.optimizer.warmup, train.optimizer.cooldown and model.glance.updates too.

On Multi30k these are, up to rounding and but for the length penalty of the candidates, the settings of
configs/best_multi30k.py, whose parts have results in docs/results/em.md. Larger texts are not measured yet.
"""
import dataclasses
from typing import NamedTuple

from tf_nar import config
from tf_nar.data import corpus
from tf_nar.em import config as em_config
from tf_nar.layers import transformer
from tf_nar.models import ar
from tf_nar.models import ctc
from tf_nar.ops import glancing

PADDED = 1.25  # Padded positions of a batch per target token, as on Multi30k.
WARM_UP = 2_000  # Updates in which the learning rate of a tiny teacher rises to its peak on Multi30k.
LONGEST = 256  # Tokens of the longest pairs; longer ones are left out.


class Size(NamedTuple):
  """The settings for texts of fewer than `pairs` pairs."""

  pairs: float
  net: transformer.Config
  dropout: float  # Dropout of the student.
  tokens: int  # Tokens per micro-batch of the teacher; the student has half.
  accumulate: int  # Micro-batches per update.
  rate: float  # Peak learning rate of the teacher; the student has half, the phase "bigrams" a fifth.
  most: int  # Largest number of updates of a training.


SIZES = (
  Size(200_000, transformer.TINY, 0.2, 8_192, 1, 0.005, 20_000),
  Size(2_000_000, dataclasses.replace(transformer.TINY, **transformer.SIZES["small"], dropout=0.2),
    0.2, 8_192, 1, 0.002, 40_000),
  Size(float("inf"), dataclasses.replace(transformer.TINY, **transformer.SIZES["base"], dropout=0.1),
    0.1, 8_192, 4, 0.0007, 100_000),
)
# The statistics of Multi30k, used without a data folder, as by --print_config.
EXAMPLE = corpus.Split(pairs=28_998, source_tokens=426_768, target_tokens=429_501, lengths={52: 28_998})


def get_config(data_dir=None):
  train = corpus.read(data_dir).splits["train"] if data_dir else EXAMPLE
  size = next(size for size in SIZES if train.pairs < size.pairs)
  longest = min(max(train.lengths), LONGEST)
  # Batches of a small text are small, or most of their positions would be padding.
  tokens = min(size.tokens, max(2_048, int(PADDED * train.target_tokens / 20) // 1_024 * 1_024))
  size = size._replace(
    tokens=tokens, net=dataclasses.replace(size.net, max_length=max(size.net.max_length, longest)))
  return em_config.Alternation(
    teacher=_teacher(size, train, longest),
    student=_student(size, train, longest),
    rounds=1,
    raw_student=False,
    student_from_teacher=True,
    nbest=5,
    nbest_alpha=1.0,
  )


def _updates(train, tokens, epochs, least, most):
  """Returns the updates of `epochs` epochs, within bounds; a multiple of 60, as schedules are shares of it."""
  steps = epochs * PADDED * train.target_tokens / tokens
  return int(min(max(steps, least), most)) // 60 * 60


def _teacher(size, train, longest):
  steps = _updates(train, size.tokens * size.accumulate, 122, 1_200, size.most)
  # In a short training the peak is lower, as a teacher whose learning rate rises faster does not learn to attend.
  warmup = min(max(steps // 4, WARM_UP), steps // 2, 4_000)
  rate = size.rate * min(1, warmup / WARM_UP)
  return config.Experiment(
    family="ar",
    model=ar.Config(size.net),
    search=ar.Search(beam=1),  # Used in validation.
    train=config.Train(
      steps=steps, tokens_per_batch=size.tokens, max_length=longest, log_every=50, validate_every=steps // 60,
      validate_sentences=2_000, keep=10, average=10,
      optimizer=config.Optimizer(learning_rate=rate, warmup=warmup, accumulate=size.accumulate)),
  )


def _student(size, train, longest):
  steps = _updates(train, size.tokens // 2 * size.accumulate, 11, 720, size.most)
  tuned = min(max(steps // 300 * 60, 300), 3_000)
  # Gives two decoder positions per source token if both sides are about equally long.
  upsample = max(2, round(1.5 * train.target_tokens / train.source_tokens))
  return config.Experiment(
    family="ctc",
    model=ctc.Config(
      dataclasses.replace(size.net, dropout=size.dropout), upsample=upsample,
      glance=glancing.Glance(updates=5 * steps // 6)),
    search=ctc.Search(),
    train=config.Train(
      steps=steps, tokens_per_batch=size.tokens // 2, max_length=longest, log_every=60, validate_every=steps // 12,
      validate_sentences=2_000,
      optimizer=config.Optimizer(
        learning_rate=size.rate / 2, warmup=min(5 * steps // 9, 4_000), cooldown=steps // 6,
        accumulate=size.accumulate)),
    phases=(
      config.Phase("distilled", start="warm_start"),
      config.Phase("bigrams", (
        "model.ngrams=2", "model.ngram_score=precision", "train.seed=1", f"train.steps={tuned}",
        f"train.validate_every={tuned // 3}", f"train.optimizer.learning_rate={size.rate / 5:g}",
        f"train.optimizer.warmup={tuned // 5}", f"train.optimizer.cooldown={tuned // 2}",
      ), text="original"),
    ),
    sweep=("search.beam=20", "search.bonus=0,0.25,0.5"),
  )
