"""Speeds of one run of bin/latency.py in the table of reports."""
import pytest

from tf_nar.evaluate import comparison
from tf_nar.evaluate import report
from tf_nar.evaluate import speeds

TOLD = {"baseline": "AR, beam 5", "systems": {
  "AR, beam 5": {"p50 ms": 60.0, "sentences/s": {"8": 50.0, "128": 100.0}},
  "CTC": {"p50 ms": 10.0, "sentences/s": {"8": 200.0, "128": 700.0}},
  "CTC, ranked": {"p50 ms": 30.0, "sentences/s": {"8": 60.0}},  # Batches above 32 are left out.
  "CT2": {"p50 ms": 5.0, "sentences/s": {"8": 200.0, "128": 350.0}}}}


def system(name):
  rows = [report.Row("bleu_tokenized", 38.0, "tok"), report.Row("times_baseline_batch_1", 9.9, "beside another"),
          report.Row("milliseconds_batch_1", 7.0, "median")]
  return comparison.system(name, rows)


def test_all_speeds_are_of_that_run():
  found = speeds.measured([system("CTC"), system("CTC, ranked"), system("other")], TOLD, "CT2")
  head, _, *rows = comparison.table(found).splitlines()
  assert head.endswith("| × baseline | sentences/s, 128 | × baseline, 128 | × CTranslate2 | × CTranslate2, 128 |")
  assert rows == [
    "| CTC | 38.00 | 10.0 | 6.0 | 700 | 7.0 | 0.5 | 2.0 |",
    "| CTC, ranked | 38.00 | 30.0 | 2.0 |  |  | 0.2 |  |",
    "| other | 38.00 |  |  |  |  |  |  |"]
  comparison.comparable(found)
  assert "times_ct2_batch_1" not in speeds.measured([system("CTC")], TOLD)[0].values


def test_all_systems_of_that_run():
  whole = {"baseline": "AR", "machine": {"threads": 2}, "systems": {
    "AR": {"kind": "saved_model", "p50 ms": 60.0, "sentences/s": {"64": 50.0}, "peak MiB": 900.4, "disk MB": 11.26},
    "CT2": {"kind": "ct2", "p50 ms": 5.0, "sentences/s": {}, "bleu_tokenized": 39.5, "chrf_tokenized": 64.0}}}
  alone = {"machine": {"threads": 1}, "systems": {"CT2": {"p50 ms": 8.0, "sentences/s": {"64": 200.0}}}}
  found = speeds.systems(whole, one_core=alone)
  assert [each.family for each in found] == ["TensorFlow", "CTranslate2"]
  assert comparison.table(found) == (
    "| system | BLEU | chrF | ms alone | × baseline | sentences/s, 64 | one core: ms alone "
    "| sentences/s, 64, one core | MiB | MB on disk |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n"
    "| AR |  |  | 60.0 | 1.0 | 50 |  |  | 900 | 11.3 |\n"
    "| CT2 | 39.50 | 64.0 | 5.0 | 12.0 |  | 8.0 | 200 |  |  |")
  with pytest.raises(ValueError, match="--one_core is of 2 threads; measure with --threads=1."):
    speeds.systems(whole, one_core=whole)


def test_refused():
  with pytest.raises(ValueError, match="--ct2=CT3 is not one of the systems of --latency: AR, beam 5; CTC; "):
    speeds.measured([system("CTC")], TOLD, "CT3")
  with pytest.raises(ValueError, match="none of the reports' systems; give reports its names, as NAME=report.json: AR"):
    speeds.measured([system("other")], TOLD)
