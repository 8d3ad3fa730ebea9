"""The table and the plot of BLEU gaps, from systems and from rounds of EM."""
import pytest

from tf_nar.evaluate import comparison
from tf_nar.evaluate import gaps
from tf_nar.evaluate import report


def system(name, bleu, row, nats, proxy="none"):
  return comparison.system(name, [report.Row("bleu_tokenized", bleu, "tok"), report.Row(row, nats, "")], name, proxy)


TEACHER = system("teacher", 40.0, "ncm", 1.0)
SYSTEMS = [system("nat_em", 30.0, "total_correlation", 0.9), system("glat", 33.0, "total_correlation", 0.7),
           system("ctc", 38.0, "excess_nll", 0.2, "targets, adaptive"), system("lanmt", 32.5, "excess_nll_bound", 0.8),
           system("cmlm", 35.0, "ncm", 2.0)]
ROUNDS = [
  {"round": 0, "student_argmax_bleu": 19.5, "seconds": {}},
  {"round": 1, "student_argmax_bleu": 27.1, "student_odd_bleu": 29.0, "teacher_bleu": 40.8, "total_correlation": 0.6},
  {"round": 2, "student_bleu": 28.6, "teacher_bleu": 40.2, "total_correlation": 0.4},
  {"round": 3, "teacher_bleu": 40.1}]


def test_a_table_of_proxies_losses_and_gaps_the_best_first():
  points = gaps.of_systems(SYSTEMS, TEACHER) + gaps.of_rounds("em", ROUNDS)
  assert gaps.table(points).splitlines() == [
    "| system | family | proxy | C | excess NLL | excess NLL, at most | gap | gap of a round |",
    "| --- | --- | --- | --- | --- | --- | --- | --- |",
    "| ctc | ctc | targets, adaptive |  | 0.200 |  | -2.00 |  |",
    "| glat | glat | none | 0.700 |  |  | -7.00 |  |",
    "| lanmt | lanmt | none |  |  | 0.800 | -7.50 |  |",
    "| nat_em | nat_em | none | 0.900 |  |  | -10.00 |  |",
    "| em, round 2 |  | targets, adaptive | 0.400 |  |  |  | -11.60 |",
    "| em, round 1 |  | targets, fixed | 0.600 |  |  |  | -13.70 |"]


def test_the_interval_of_a_loss_is_in_the_table():
  rows = [report.Row(name, value, "") for name, value in (
    ("bleu_tokenized", 30.0), ("total_correlation", 0.9), ("total_correlation_low", 0.85),
    ("total_correlation_high", 0.97))]
  points = gaps.of_systems([comparison.system("nat_em", rows, "nat_em", "none"), SYSTEMS[1]], TEACHER)
  points += gaps.of_rounds("em", [ROUNDS[2] | {"total_correlation_low": 0.3, "total_correlation_high": 0.5}])
  assert gaps.table(points).splitlines() == [
    "| system | family | proxy | C | 95 % over sentences | gap | gap of a round |",
    "| --- | --- | --- | --- | --- | --- | --- |",
    "| glat | glat | none | 0.700 |  | -7.00 |  |",
    "| nat_em | nat_em | none | 0.900 | 0.85 to 0.97 | -10.00 |  |",
    "| em, round 2 |  | targets, adaptive | 0.400 | 0.30 to 0.50 |  | -11.60 |"]


def test_whether_the_loss_orders_the_gaps():
  order = lambda *pairs: [gaps.Point("", "", "", "C", nats, gap) for nats, gap in pairs]
  assert gaps.correlations(order((0.1, -1), (0.3, -5), (0.2, -2)))["C"] == (pytest.approx(-1), 3)
  assert gaps.correlations(order((0.1, -5), (0.3, -2), (0.2, -1)))["C"][0] == pytest.approx(0.5)
  for tied in (order((0.1, -1), (0.1, -2), (0.3, -5)), order((0.1, -2), (0.1, -1), (0.3, -5))):
    assert gaps.correlations(tied)["C"][0] == pytest.approx(-0.75**0.5)  # Ranks 1.5, 1.5 and 3.
  assert gaps.correlations(order((0.1, -5), (0.3, -1))) == {}  # Two points are always in some order.
  rounds = [point._replace(series="em") for point in order((0.1, -5), (0.3, -1), (0.4, -2))]
  assert gaps.correlations(rounds) == {}  # Of other teachers.
  assert "C: its rank correlation with the gap is -1.00, of 3 systems" in gaps.shown(
    order((0.1, -1), (0.3, -5), (0.2, -2)))


def test_plot(tmp_path):
  gaps.plot(gaps.of_systems(SYSTEMS, TEACHER) + gaps.of_rounds("em", ROUNDS), "teacher", str(tmp_path / "gap.png"))
  assert (tmp_path / "gap.png").read_bytes().startswith(b"\x89PNG")
