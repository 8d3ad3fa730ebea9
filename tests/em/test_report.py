import dataclasses
import json
import os

import pytest
import tensorflow as tf

from tests.em import minuscule
from tf_nar import config
from tf_nar.em import alternate
from tf_nar.em import measure
from tf_nar.em import report


def finish(workdir, number, stage, **measures):
  folder = alternate.at(str(workdir), number)[stage]

  def work(out):
    tf.io.gfile.makedirs(out)
    if measures:
      measure.write(measures, out)

  alternate.once(folder, work)


@pytest.fixture
def workdir(tmp_path):
  finish(tmp_path, 0, "student")
  finish(tmp_path, 0, "measures", ncm_raw=0.6, student_odd_bleu=30.0)
  finish(tmp_path, 1, "teacher")
  finish(tmp_path, 1, "measures", ncm_raw=0.61, ncm_distilled=0.5, kept_first=0.4, student_odd_bleu=31.25)
  finish(tmp_path, 2, "teacher")
  return tmp_path


def test_collects_what_is_done(workdir):
  rows = report.collect(str(workdir), 3)
  assert [row["round"] for row in rows] == [0, 1, 2]
  assert rows[1]["ncm_distilled"] == 0.5
  stages = [set(row["seconds"]) for row in rows]
  assert stages == [{"student", "measures"}, {"teacher", "measures"}, {"teacher"}]


def test_table_has_a_line_a_round_and_a_dash_for_what_is_not_known(workdir):
  above, head, _, zero, one, two, _, *legend = report.table(report.collect(str(workdir), 3)).splitlines()
  assert above.split() == ["NCM", "NCM", "kept"]
  assert head.split() == ["round", "raw", "distilled", "1st", "ODD", "seconds"]
  assert zero.split()[:-1] == ["0", "0.600", "-", "-", "30.0"]
  assert one.split()[:-1] == ["1", "0.610", "0.500", "0.400", "31.2"]
  assert two.split()[:-1] == ["2", "-", "-", "-", "-"]
  assert len(head) == len(zero) == len(one) == len(two)
  assert legend[0].startswith("NCM, normalised multi-modality:") and any("kept 1st: share" in line for line in legend)


def test_expects_a_stage_to_take_as_long_as_before():
  alternation = dataclasses.replace(minuscule.get_config(), rounds=3)
  seconds = dict.fromkeys(alternate.ROUND, 10.0)
  first = {"round": 1, "seconds": seconds | {"student": 40.0}}
  assert report.remaining([first], alternation) == (200.0, True)
  part = {"round": 2, "seconds": {"teacher": 20.0}}
  assert report.remaining([first, part], alternation) == (100 - 10 + 110, True)
  assert report.remaining([{"round": 0, "seconds": {"student": 40.0}}], alternation) == (120.0, False)
  half = (alternation.student.train.steps // 2) / alternation.student.train.steps
  later = config.override(alternation, f"later_student.train.steps={alternation.student.train.steps // 2}")
  assert report.remaining([first], later) == (2 * (60 + 40 * half), True)
  given = dataclasses.replace(later, first_teacher="runs/teacher", one_model=False)
  assert report.remaining([first], given) == (2 * (50 + 40 * half), False)
  assert report.remaining([first, part], given) == (50 + 40 * half + 70 + 40 * half, True)


def test_writes_json_whole(workdir):
  rows = report.collect(str(workdir), 3)
  report.write(rows, str(workdir))
  assert json.loads((workdir / report.FILE).read_text()) == rows
  assert not (workdir / f"{report.FILE}.tmp").exists()


def test_draws_a_picture(workdir):
  pytest.importorskip("matplotlib")
  assert report.plot(report.collect(str(workdir), 3), str(workdir))
  assert (workdir / report.PLOT).read_bytes().startswith(b"\x89PNG")


def test_scalars_are_events_of_the_round(workdir):
  report.scalars(report.collect(str(workdir), 3)[1], str(workdir))
  [path] = tf.io.gfile.glob(os.path.join(str(workdir), "events*"))
  found = {value.tag: (event.step, float(tf.make_ndarray(value.tensor)))
           for event in tf.compat.v1.train.summary_iterator(path) for value in event.summary.value}
  assert found["em/ncm_distilled"] == (1, 0.5) and set(found) == {
    "em/ncm_raw", "em/ncm_distilled", "em/kept_first", "em/student_odd_bleu"}


def rows(name, *values):
  return [{"round": number, name: value} for number, value in enumerate(values)]


@pytest.mark.parametrize("stop, given, over", [
    ("none", rows("ncm_distilled", 0, 5.0, 6.0), False),
    ("ncm", rows("ncm_distilled", 0, 0.5, 0.4), False),
    ("ncm", rows("ncm_distilled", 0, 0.5, 0.4, 0.4), True),
    ("ncm", rows("ncm_bound_distilled", 0, 0.5, 0.4, 0.4), True),
    ("ncm", rows("ncm_distilled", 0.1, 0.5), False),  # Round 0 does not count.
    ("bleu", rows("student_odd_bleu", 0, 30.0, 31.0), False),
    ("bleu", rows("student_odd_bleu", 0, 30.0, 29.0), True),
    ("bleu", rows("ncm_distilled", 0, 0.5, 0.6), False),
])
def test_stops_when_it_does_not_improve(stop, given, over):
  assert report.no_better(given, stop) is over
