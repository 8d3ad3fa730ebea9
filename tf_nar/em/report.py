"""Reports an alternation, read from its folders so far, as em.json, a table, a plot and TensorBoard scalars."""
import json
import os

import tensorflow as tf

from tf_nar.data import atomic
from tf_nar.em import alternate
from tf_nar.em import measure
from tf_nar.evaluate import plots

FILE, PLOT = "em.json", "em.png"
COLUMNS = {  # Heading -> measures, of which the first that exists is shown.
  "NCM raw": ("ncm_raw",),
  "distilled": ("ncm_distilled",),
  "selected": ("ncm_selected",),
  "kept 1st": ("kept_first",),
  "C": ("total_correlation",),
  "excess NLL": ("excess_nll", "excess_nll_bound"),
  "teacher": ("teacher_bleu",),
  "student": ("student_bleu",),
  "argmax": ("student_argmax_bleu",),
  "ODD": ("student_odd_bleu",),
  "rescored": ("student_rescored_bleu",),
  "repeats": ("student_argmax_repeats", "student_repeats"),
  "valid": ("student_argmax_valid", "student_valid"),
  "valid ODD": ("student_odd_valid",),
}


LABELS = {  # Of the plot.
  "NCM raw": "raw text", "distilled": "distilled text", "selected": "selected text", "teacher": "teacher, beam",
  "argmax": "student, argmax", "ODD": "student, ODD", "rescored": "student, ranked by the teacher",
}


def collect(workdir, rounds):
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


def write(rows, workdir):
  """Writes em.json."""
  atomic.write(os.path.join(workdir, FILE), json.dumps(rows, indent=1).encode())


def table(rows):
  """Returns the measured rounds as a table. Round 0 is the student trained on the original text."""
  shown = {name: keys for name, keys in COLUMNS.items() if any(_first(row, keys) is not None for row in rows)}
  head = f"{'round':>5}" + "".join(f"{name:>{_width(name)}}" for name in shown) + f"{'seconds':>9}"
  body = []
  for row in rows:
    cells = [f"{_text(_first(row, keys), keys[0]):>{_width(name)}}" for name, keys in shown.items()]
    body.append(f"{row['round']:>5}" + "".join(cells) + f"{sum(row['seconds'].values()):>9.0f}")
  return "\n".join([head, *body])


def no_better(rows, stop):
  """Whether the last round did not improve on the one before.

  Args:
    rows: the result of `collect`.
    stop: "none"; "ncm", NCM of the distilled text, as that of the validation references, which no selection makes less
      multi-modal, rises from round to round; or "bleu", of the student's translations of the validation text by ODD.
  """
  keys = {"ncm": ("ncm_distilled",), "bleu": ("student_odd_bleu", "student_bleu")}.get(stop)
  values = [_first(row, keys) for row in rows if row["round"]] if keys else []
  if len(values) < 2 or None in values[-2:]:
    return False
  return values[-1] >= values[-2] if stop == "ncm" else values[-1] <= values[-2]


def scalars(row, workdir):
  """Adds the numbers of a round to TensorBoard's events, with the round as the step."""
  writer = tf.summary.create_file_writer(workdir)
  with writer.as_default(step=row["round"]):
    for name, value in row.items():
      if name not in ("round", "seconds"):
        tf.summary.scalar(f"em/{name}", value)
  writer.close()


def plot(rows, workdir):
  """Plots NCM and BLEU by round to em.png. Returns False if matplotlib is not installed."""
  bleus = ("teacher", "student", "argmax", "ODD", "rescored")
  try:
    with plots.drawing(os.path.join(workdir, PLOT), columns=2, size=(9, 3.5)) as (left, right):
      for axis, names in ((left, ("NCM raw", "distilled", "selected")), (right, bleus)):
        for name, marker in zip(names, "os^Dv", strict=False):
          points = [(row["round"], value) for row in rows if (value := _first(row, COLUMNS[name])) is not None]
          if points:
            axis.plot(*zip(*points, strict=True), marker=marker, label=LABELS.get(name, name))
        axis.set_xlabel("round")
        axis.xaxis.get_major_locator().set_params(integer=True)
        if axis.lines:
          axis.legend()
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


def _width(name):
  return max(len(name), 6) + 2
