import pytest

from tf_nar.evaluate import comparison
from tf_nar.evaluate import report


def system(name, bleu, ms=None, *, signature="tok:none"):
  rows = [report.Row("bleu_tokenized", bleu, signature), report.Row("repetition_words", 0.012, "share")]
  rows += [] if ms is None else [report.Row("milliseconds_batch_1", ms, "median of 100 sentences"),
                                 report.Row("times_baseline_batch_1", 10 / ms, "seconds of ar by seconds of this")]
  return comparison.system(name, rows)


def test_table_has_the_columns_that_somebody_has():
  assert comparison.table([system("teacher", 40.0, 10.0), system("student", 33.333)]) == (
    "| system | BLEU | repeats | ms alone | × baseline |\n"
    "| --- | --- | --- | --- | --- |\n"
    "| teacher | 40.00 | 1.20% | 10.0 | 1.0 |\n"
    "| student | 33.33 | 1.20% |  |  |")


def test_seeds_become_one_row():
  seeds = [system("student", bleu)._replace(seed=seed) for seed, bleu in enumerate((33.0, 35.0))]
  found = comparison.merged([seeds[0], system("teacher", 40.0), seeds[1]])
  assert comparison.table(found).splitlines()[2:] == ["| student | 34.00 ± 1.41 | 1.20% | 2 |",
                                                      "| teacher | 40.00 | 1.20% |  |"]
  assert comparison.with_gaps(found, found[1])[0].values["gap"] == -6.0


@pytest.mark.parametrize("change", [{"seed": 0}, {"settings": {"search": "odd"}}])
def test_others_of_one_name_are_refused(change):
  one = system("student", 33.0)._replace(seed=0)
  with pytest.raises(ValueError, match="2 reports are called .student., which is for trainings that differ"):
    comparison.merged([one, one._replace(**{"seed": 1} | change)])


def test_plot_shows_those_whose_speed_was_measured(tmp_path):
  path = tmp_path / "plot.png"
  assert comparison.plot([system("teacher", 40.0, 10.0), system("student", 33.3)], str(path)) == 1
  assert path.read_bytes().startswith(b"\x89PNG")
  families = [system(name, 38.0, ms)._replace(family=name) for name, ms in (("ctc", 9), ("dag", 12))]
  assert comparison.plot([*families, system("teacher", 40.0, 10.0)], str(path)) == 3
  assert comparison.plot([families[0]._replace(spread={"bleu_tokenized": 0.5}), families[1]], str(path)) == 2
  assert not comparison.plot([system("student", 33.3)], str(tmp_path / "none.png"))
  assert [each.name for each in tmp_path.iterdir()] == ["plot.png"]


def test_the_front_has_what_no_other_equals_in_both():
  points = [(5.0, 30.0), (5.0, 31.0), (6.0, 31.0), (7.0, 29.0), (9.0, 35.0)]
  assert comparison.front(points) == [(5.0, 31.0), (9.0, 35.0)]
  assert comparison.front([(1.0, 2.0)] * 2) == [(1.0, 2.0)]


def test_gaps_are_to_a_system():
  found = comparison.with_gaps([system("student", 38.5), system("ranked", 40.25)], system("teacher", 40.0))
  assert comparison.table(found).splitlines()[2:] == ["| student | 38.50 | -1.50 | 1.20% |",
                                                      "| ranked | 40.25 | +0.25 | 1.20% |"]


@pytest.mark.parametrize("difference, seeds, p", [(-1.5, 1, 0.02), (-0.5, 1, None), (-1.5, 2, None)])
def test_the_chance_of_a_gap_is_of_one_training_beside_that_system(difference, seeds, p):
  student = system("student", 38.5)
  student = student._replace(values=student.values | {
    "bleu_tokenized_difference": difference, "bleu_tokenized_difference_p": 0.02})
  students = comparison.merged([student._replace(seed=seed) for seed in range(seeds)])
  found = comparison.with_gaps(students, system("teacher", 40.0))
  assert found[0].values["gap"] == -1.5 and comparison.value(found[0], "p") == p


def test_unlike_numbers_are_refused():
  comparison.comparable([system("one", 40.0, 10.0), system("other", 40.0)])
  with pytest.raises(ValueError, match="bleu_tokenized of 'one' and 'other' cannot be compared, as it is 'tok:none'"):
    comparison.comparable([system("one", 40.0), system("other", 40.0, signature="tok:13a")])
  raw = comparison.system("raw", [report.Row("bleu_detokenized", 40.0, "tok:13a")])
  with pytest.raises(ValueError, match="BLEU of tokenised and of raw text"):
    comparison.comparable([system("one", 40.0), raw])
