"""Reports an alternation, read from its folders so far, as em.json, a table, a plot and TensorBoard scalars."""
import json
import os
from typing import Sequence

import tensorflow as tf

from tf_nar import display
from tf_nar import recipe
from tf_nar.data import atomic
from tf_nar.em import alternate
from tf_nar.em import config
from tf_nar.em import measure
from tf_nar.evaluate import plots

FILE, PLOT = "em.json", "em.png"
TEXTS = "raw", "distilled", "selected"
COLUMNS = {  # Heading -> measures, of which the first that exists is shown.
  **{f"NCM\n{text}": (f"ncm_{text}",) for text in TEXTS},
  **{f"NCM, {text},\nat most": (f"ncm_bound_{text}",) for text in TEXTS},
  "kept\n1st": ("kept_first",),
  "total\ncorr.": ("total_correlation",),
  "excess\nNLL": ("excess_nll", "excess_nll_bound"),
  "teacher": ("teacher_bleu",),
  "student": ("student_bleu",),
  "argmax": ("student_argmax_bleu",),
  "ODD": ("student_odd_bleu",),
  "rescored": ("student_rescored_bleu",),
  "repeats": ("student_argmax_repeats", "student_repeats"),
  "valid": ("student_argmax_valid", "student_valid"),
  "valid\nODD": ("student_odd_valid",),
}

LEGEND = {  # Part of a heading -> what it means, beside those of `display.LEGENDS`.
  "kept": "kept 1st: share of the sources whose selected target is the teacher's best candidate.",
  "total": "total corr.: conditional total correlation of the teacher's translations, what independent tokens lose, in "
           "nats per token.",
  "excess": "excess NLL: the student's negative log likelihood less the teacher's, in nats per token.",
  "teacher": "teacher, student, argmax, ODD, rescored: BLEU of the validation text; ODD repeats no token, rescored has "
             "several candidates that the teacher ranks.",
  "valid": "valid: share of the translations that are entirely in one mode of the toy language.",
}


LABELS = {  # Of the plot.
  **{f"NCM\n{text}": f"{text} text" for text in TEXTS},
  **{f"NCM, {text},\nat most": f"{text} text, at most" for text in TEXTS},
  "teacher": "teacher, beam", "argmax": "student, argmax",
  "ODD": "student, ODD", "rescored": "student, ranked by the teacher",
}


def collect(workdir: str, rounds: int) -> list[dict]:
  """Returns a list of dicts, one for each round from 0 on that has begun: "round", its measures, and "seconds".

  "seconds" maps each finished stage to the time it took; all other values depend on data and configuration only.
  """
  rows = []
  for number in range(rounds + 1):
    folders = alternate.at(workdir, number)
    took = {stage: alternate.seconds(folder) for stage, folder in folders.items()}
    took = {stage: seconds for stage, seconds in took.items() if seconds is not None}
    if took:
      known = measure.read(folders["measures"]) if "measures" in took else {}
      rows.append({"round": number, **known, "seconds": took})
  return rows


def write(rows: list[dict], workdir: str) -> None:
  """Writes em.json."""
  atomic.write(os.path.join(workdir, FILE), json.dumps(rows, indent=1).encode())


def read(path: str) -> list[dict]:
  """Returns the rows of an em.json.

  Raises:
    ValueError: if it is another file.
  """
  with atomic.open_read(path) as file:
    try:
      return sorted(json.load(file), key=lambda row: row["round"])
    except (ValueError, TypeError, KeyError) as problem:
      raise ValueError(f"{path} is not an em.json ({problem!r}); give that of a folder of bin/em.py.") from None


def table(rows: Sequence[dict]) -> str:
  """Returns the measured rounds as a table with a legend. Round 0 is the student trained on the original text."""
  shown = {name: keys for name, keys in COLUMNS.items() if any(_first(row, keys) is not None for row in rows)}
  body = [[str(row["round"]), *(_text(_first(row, keys), keys[0]) for keys in shown.values()),
           f"{sum(row['seconds'].values()):.0f}"] for row in rows]
  return display.table(["round", *shown, "seconds"], body, display.legend(shown, LEGEND))


def remaining(rows: Sequence[dict], alternation: config.Alternation) -> tuple[float, bool]:
  """Returns the expected seconds of the stages that are not done, and whether all of them have an expectation.

  A stage is expected to take as long as it did in the latest round, in proportion to the updates of a training. A
  `first_teacher` that is given tells nothing of the next.

  Args:
    rows: the result of `collect`.
    alternation: `config.Alternation`.
  """
  done = {row["round"]: row["seconds"] for row in rows}
  total, known = 0.0, True
  for number in range(1, alternation.rounds + 1):
    for stage in (stage for stage in alternate.ROUND if stage not in done.get(number, {})):
      told = [each for each in done if stage in done[each] and not _given(alternation, stage, each)]
      before = max(told, default=None)
      known &= before is not None
      if before is not None:
        total += done[before][stage] * _growth(alternation, stage, before, number)
  return total, known


def _given(alternation, stage, number):
  """Whether a stage copies a finished run, and so takes no time that another could be told from."""
  return bool(alternation.first_teacher) and (stage, number) == ("teacher", 1)


def _growth(alternation, stage, before, number):
  """Returns the number of updates of a stage in a round, divided by that in an earlier one; 1 if it trains nothing."""
  if stage not in ("teacher", "student") or not before < 2 <= number:
    return 1.0
  first, later = (sum(each.train.steps for _, each in recipe.trainings(experiment))
                  for experiment in (getattr(alternation, stage), config.later(alternation, stage)))
  return later / first


def no_better(rows: Sequence[dict], stop: str) -> bool:
  """Whether the last round did not improve on the one before.

  Args:
    rows: the result of `collect`.
    stop: "none"; "ncm", NCM of the distilled text, as that of the validation references, which no selection makes less
      multi-modal, rises from round to round; or "bleu", of the student's translations of the validation text by ODD.
  """
  keys = {"ncm": ("ncm_distilled", "ncm_bound_distilled"), "bleu": ("student_odd_bleu", "student_bleu")}.get(stop)
  values = [_first(row, keys) for row in rows if row["round"]] if keys else []
  if len(values) < 2 or None in values[-2:]:
    return False
  return values[-1] >= values[-2] if stop == "ncm" else values[-1] <= values[-2]


def scalars(row: dict, workdir: str) -> None:
  """Adds the numbers of a round to TensorBoard's events, with the round as the step."""
  writer = tf.summary.create_file_writer(workdir)
  with writer.as_default(step=row["round"]):
    for name, value in row.items():
      if name not in ("round", "seconds"):
        tf.summary.scalar(f"em/{name}", value)
  writer.close()


def plot(rows: Sequence[dict], workdir: str) -> bool:
  """Plots NCM and BLEU by round to em.png. Returns False if matplotlib is not installed."""
  bleus = ("teacher", "student", "argmax", "ODD", "rescored")
  try:
    with plots.drawing(os.path.join(workdir, PLOT), columns=2, size=(9, 3.5)) as (left, right):
      for axis, names in ((left, [name for name in COLUMNS if name.startswith("NCM")]), (right, bleus)):
        for name, marker in zip(names, plots.MARKERS, strict=False):
          points = [(row["round"], value) for row in rows if (value := _first(row, COLUMNS[name])) is not None]
          if points:
            axis.plot(*zip(*points, strict=True), marker=marker, label=LABELS.get(name, name))
        axis.set_xlabel("round")
        axis.xaxis.get_major_locator().set_params(integer=True)
        if axis.lines:
          axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.2), ncols=2)
      left.set_title("Multi-modality of the texts, by the round's student")
      left.set_ylabel("NCM, nats per target token")
      right.set_title("Translations of the validation text")
      right.set_ylabel("BLEU")
  except ImportError:
    return False  # The table has the same numbers.
  return True


def _first(row, keys):
  return next((row[key] for key in keys if key in row), None)


def _text(value, key):
  return "-" if value is None else f"{value:.1f}" if key.endswith("_bleu") else f"{value:.3f}"
