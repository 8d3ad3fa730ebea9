"""Measures one round: the multi-modality (NCM) of its texts, and the translation quality of teacher and student.

NCM is in nats per target token, with EOS and the length term, without label smoothing and with dropout off. Every
number called ncm is under the student of the round, on the training sentences with an index below `sample`: of the
original text, of the distilled text that the student was trained on, and of the selected text. Numbers of two rounds
are comparable if their students were trained equally long. The total correlation is that of the distilled text, on the
validation sources translated by the teacher. The teacher was trained on the text before, not on its translations, whose
log p it underestimates; so compare rounds, and see `evaluate/total_correlation.py`.
"""
import dataclasses
import json
import os
from typing import Callable, Iterable, Sequence

import numpy as np
import tensorflow as tf

from tf_nar import runs
from tf_nar import types
from tf_nar.data import atomic
from tf_nar.data import corpus as data_corpus
from tf_nar.data import json_file
from tf_nar.data import records
from tf_nar.data import toy
from tf_nar.em import config
from tf_nar.evaluate import corpus
from tf_nar.evaluate import lines
from tf_nar.evaluate import multimodality
from tf_nar.evaluate import progress
from tf_nar.evaluate import rescoring
from tf_nar.evaluate import testset
from tf_nar.evaluate import total_correlation

FILE = "measures.json"


def measure(folders: dict[str, str], data_dir: str, alternation: config.Alternation) -> dict[str, float]:
  """Measures a round.

  Args:
    folders: dict, stage -> folder: "student", and for a full round also "teacher", "distilled" and "selected".
    data_dir: the data folder of the original text.
    alternation: `config.Alternation`; with toy data, the share of translations wholly in one mode is measured too.

  Returns:
    dict, name -> number:
      ncm_raw, ncm_distilled, ncm_selected   see the module's docstring; or ncm_bound_raw and so on
      kept_first      share of the sample's sources whose selected target is the teacher's best candidate
      X_bleu, X_repeats, X_valid   of the validation text translated by X: student_argmax and student_odd, or
        student if its family has no ODD; student_rescored, several candidates ranked by the teacher; teacher
      total_correlation   or excess_nll, excess_nll_bound: what the student's independent tokens lose, nats per token;
        with _low and _high, its interval over sentences
  """
  with progress.Progress("measures") as bar:
    return _measured(folders, data_dir, alternation, bar.advance)


def _measured(folders, data_dir, alternation, advance):
  """Does what `measure` does; `advance` counts sentences that were scored or translated."""
  student = runs.load(folders["student"])
  data = {"raw": data_dir} | {name: folders[name] for name in ("distilled", "selected") if name in folders}
  texts = {name: sample(folder, alternation.sample) for name, folder in data.items()}
  score = corpus.scorer(student.model)
  found = {name: ncm(score, pairs, student, alternation, advance) for name, pairs in texts.items()}
  called = multimodality.name(student.model)
  measures = {f"{called}_{name}": value for name, value in found.items() if value is not None}
  if "selected" in texts:
    measures["kept_first"] = kept_first(texts["distilled"], texts["selected"])
  teacher = runs.load(folders["teacher"]) if "teacher" in folders else None
  for name, run, search, teacher_score in _translators(student, teacher, alternation):
    predictions, found = _quality(run, search, teacher_score, data_dir, alternation, advance)
    measures |= {f"{name}_{what}": value for what, value in found.items()}
    if name == "teacher":
      measures |= _correlation(student, score, teacher, predictions, data_dir, alternation)
  return measures


def write(measures: dict[str, float], folder: str) -> None:
  """Writes measures.json."""
  atomic.write(os.path.join(folder, FILE), json.dumps(measures, indent=1).encode())


def read(folder: str) -> dict[str, float]:
  """Returns the content of measures.json, or {} if there is none."""
  path = os.path.join(folder, FILE)
  if not tf.io.gfile.exists(path):
    return {}
  return json_file.read(path)


def sample(folder: str, count: int) -> list[records.Pair]:
  """Returns the training pairs with an index below `count`, sorted by index."""
  pairs = [pair for path in data_corpus.shards(folder) for pair in records.read(path) if pair.index < count]
  return sorted(pairs, key=lambda pair: pair.index)  # Stable: weighted pairs of one source keep their order.


def kept_first(distilled: Iterable[records.Pair], selected: Sequence[records.Pair]) -> float:
  """Returns the share of the total weight of the selected pairs that is on the teacher's best candidates."""
  first = {pair.index: pair.tgt for pair in distilled}
  kept = [pair.weight * (pair.tgt == first[pair.index]) for pair in selected]
  return float(sum(kept) / sum(pair.weight for pair in selected))


def ncm(score: Callable, pairs: Iterable[records.Pair], run: runs.Run, alternation: config.Alternation,
        advance: Callable[[int], None] | None = None) -> float | None:
  """Returns NCM of weighted pairs under a run, without pairs of probability 0; None if all are such."""
  longest = run.experiment.model.net.max_length
  pairs = [pair for pair in pairs if max(len(pair.src), len(pair.tgt)) <= longest]
  log_probs = corpus.score(score, [(pair.src, pair.tgt) for pair in pairs],
                           tokens_per_batch=alternation.tokens_per_batch, longest=longest, progress=advance)
  weights = np.array([pair.weight for pair in pairs])
  if not (log_probs > -np.inf).any():
    return None
  return multimodality.normalised_multimodality(log_probs, [len(pair.tgt) for pair in pairs], weights)


def _translators(student, teacher, alternation):
  """Yields (name, run, search, teacher_score) of every system that is evaluated."""
  search = student.experiment.search
  for name, changes in student.model.traits.readings:
    yield f"student_{name}", student, dataclasses.replace(search, **changes), None
  if not student.model.traits.readings:
    yield "student", student, search, None
  if teacher:
    if alternation.lengths > 1:
      wide = search.with_candidates(alternation.lengths)
      yield "student_rescored", student, wide, rescoring.by(teacher, student, wide)
    yield "teacher", teacher, dataclasses.replace(teacher.experiment.search, beam=alternation.beam), None


def _quality(run, search, teacher_score, data_dir, alternation, advance):
  """Returns the translations of the validation text as ids without EOS, and their measures."""
  sources, references = data_corpus.validation(data_dir)
  longest = run.experiment.model.net.max_length
  predictions, texts, measures = testset.brief(
    corpus.searcher(run.model, search, teacher_score), run.vocab, list(lines.encode(sources, run.vocab, longest)),
    references, longest=longest, progress=advance,
    tokens_per_batch=corpus.positions(run.model, search, alternation.tokens_per_batch))
  return predictions, measures | ({"valid": toy.valid_share(sources, texts)} if alternation.data else {})


def _correlation(student, score, teacher, predictions, data_dir, alternation):
  """Returns {name: total correlation, or excess} of translations; {} if none has a positive probability, or if the
  student's score is autoregressive.

  `score` is the `corpus.scorer` of the student.
  """
  likelihood = student.model.traits.likelihood(student.experiment.model)
  if likelihood == "autoregressive":
    return {}
  ours, theirs, lengths = total_correlation.scored(
    (student, score), (teacher, corpus.scorer(teacher.model)), data_corpus.validation(data_dir)[0],
    [[*target, types.EOS] for target in predictions], tokens_per_batch=alternation.tokens_per_batch)
  if not np.isfinite(ours + theirs).any():
    return {}
  found = total_correlation.estimate(ours, theirs, lengths)
  name = total_correlation.NAMES[likelihood]
  return {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}
