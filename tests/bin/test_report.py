"""bin/report.py from files to files."""
import dataclasses
import json

import pytest

from tf_nar import config
from tf_nar.evaluate import report
from tf_nar.models import ctc
from tf_nar.ops import glancing


@pytest.fixture
def call(load):
  return load("report")[1]


def written(path, bleu, ms, digest="d1"):
  path.parent.mkdir(parents=True, exist_ok=True)
  rows = [report.Row("bleu_tokenized", bleu, "tok:none"), report.Row("milliseconds_batch_1", ms, "median")]
  report.write(str(path), rows, {"data": {"source": {"sha256": digest}}})
  return str(path)


def table(path):
  return path.read_text().split("\n\n")[0].splitlines()


def test_reports_become_a_table_and_a_plot(call, tmp_path, capsys):
  one, two = written(tmp_path / "ar/report.json", 40.0, 20.0), written(tmp_path / "ctc/odd.json", 35.0, 2.0)
  call(one, two, f"CTC=again={two}", f"--out={tmp_path}/all")
  lines, about = (tmp_path / "all.md").read_text().split("\n\n")
  assert [line.split("|")[1].strip() for line in lines.splitlines()] == ["system", "---", "ar", "ctc, odd", "CTC=again"]
  assert not about.strip()  # BLEU and milliseconds need no legend.
  assert [line.split("  ")[0] for line in capsys.readouterr().out.splitlines()][3:6] == ["ar", "ctc, odd", "CTC=again"]
  assert (tmp_path / "all.png").read_bytes().startswith(b"\x89PNG")


def trained(path, bleu, seed, **train):
  """Writes the report of a CTC run."""
  train = config.Train(seed=seed, **train)
  known = dataclasses.asdict(config.Experiment("ctc", ctc.Config(), ctc.Search(), train=train))
  facts = {"data": {"source": {"sha256": "d1"}}, "experiment": known, "seed": seed}
  report.write(str(path), [report.Row("bleu_tokenized", bleu, "tok:none")], facts)
  return str(path)


def test_reports_of_one_name_are_seeds(call, tmp_path):
  one, two = trained(tmp_path / "one.json", 33.0, 1), trained(tmp_path / "two.json", 35.0, 2, validate_every=5)
  call(f"CTC={one}", f"CTC={two}", f"--out={tmp_path}/all")
  assert table(tmp_path / "all.md")[2:] == ["| CTC | 34.00 ± 1.41 | 2 |"]
  longer = trained(tmp_path / "longer.json", 36.0, 3, steps=7)
  for other in (longer, one):
    with pytest.raises(SystemExit, match="report: 2 reports are called 'CTC', which is for trainings that differ"):
      call(f"CTC={one}", f"CTC={other}", f"--out={tmp_path}/none")


def test_reports_may_be_listed_in_a_file(call, tmp_path):
  one, two = written(tmp_path / "ar/report.json", 40.0, 20.0), written(tmp_path / "ctc/odd.json", 35.0, 2.0)
  (tmp_path / "list.txt").write_text(f"# The first.\nCTC, ODD={two}\n\n {one}\n")
  call(f"--list={tmp_path}/list.txt", f"--out={tmp_path}/all")
  lines = table(tmp_path / "all.md")
  assert [line.split("|")[1].strip() for line in lines[2:]] == ["CTC, ODD", "ar"]


def test_gaps_are_to_the_report_named(call, tmp_path, capsys):
  teacher, plain = written(tmp_path / "ar/report.json", 40.0, 20.0), written(tmp_path / "ctc/odd.json", 35.0, 2.0)
  call(plain, f"--gap_from={teacher}", f"--out={tmp_path}/all")
  assert "No table of gaps, as no report has a total correlation" in capsys.readouterr().out
  assert table(tmp_path / "all.md")[2:] == ["| ctc, odd | 35.00 | -5.00 | 2.0 |"]  # The AR run has no line of its own.
  assert "- gap: BLEU less that of" in (tmp_path / "all.md").read_text()
  rows, facts = report.read(plain)
  known = dataclasses.asdict(config.Experiment("ctc", ctc.Config(glance=glancing.Glance()), ctc.Search()))
  report.write(plain, [*rows, report.Row("excess_nll", 0.3, "nats")],
               facts | {"experiment": known, "total_correlation": {"translate_with": "runs/ar"}})
  rounds = [{"round": 1, "student_bleu": 30.0, "teacher_bleu": 40.0, "total_correlation": 0.5}]
  (tmp_path / "em.json").write_text(json.dumps(rounds))
  call(plain, f"--gap_from={teacher}", f"--em=EM={tmp_path}/em.json", f"--out={tmp_path}/all")
  assert (tmp_path / "all.gap.png").read_bytes().startswith(b"\x89PNG")
  assert table(tmp_path / "all.gap.md")[2:] == [
    "| ctc, odd | ctc | targets, fixed; targets, adaptive; inputs, adaptive |  | 0.300 | -5.00 |  |",
    "| EM, round 1 |  | targets, fixed | 0.500 |  |  | -10.00 |"]


def test_speeds_of_one_run(call, tmp_path):
  one = written(tmp_path / "ctc/report.json", 35.0, 2.0)
  told = {"baseline": "AR", "systems": {"AR": {"p50 ms": 30.0, "sentences/s": {}},
                                        "ctc": {"p50 ms": 5.0, "sentences/s": {}}}}
  (tmp_path / "latency.json").write_text(json.dumps(told))
  call(one, f"--latency={tmp_path}/latency.json", "--ct2=AR", f"--out={tmp_path}/all")
  assert (tmp_path / "all.md").read_text().splitlines()[2] == "| ctc | 35.00 | 5.0 | 6.0 | 6.0 |"


@pytest.mark.parametrize("flags", [["--em=em.json"], ["--ct2=CT2"]])
def test_flags_that_need_others(call, tmp_path, flags):
  with pytest.raises(SystemExit, match="^report: --em is shown beside the gaps of --gap_from, and --ct2 is a syst"):
    call(written(tmp_path / "ar/report.json", 40.0, 20.0), *flags, f"--out={tmp_path}/all")


def test_another_file_is_no_em_json(call, tmp_path):
  one = written(tmp_path / "ar/report.json", 40.0, 20.0)
  with pytest.raises(SystemExit, match="report.json is not an em.json .*; give that of a folder of bin/em.py"):
    call(one, f"--gap_from={one}", f"--em={one}", f"--out={tmp_path}/all")


@pytest.mark.parametrize("files, message", [
  ([], "^report: No report to compare; give the report.json"),
  (["none.json"], "^report: .*none.json"),
  (["list.json"], "^report: .*list.json is not a report of bin/evaluate.py"),
  (["ar/report.json", "other/report.json"], "^report: .*other/report.json is of another test set than .*ar"),
])
def test_a_users_mistake_is_one_line(call, tmp_path, files, message):
  written(tmp_path / "ar/report.json", 40.0, 20.0)
  written(tmp_path / "other/report.json", 40.0, 20.0, "d2")
  (tmp_path / "list.json").write_text(json.dumps([1]))
  with pytest.raises(SystemExit, match=message) as exit:
    call(*(str(tmp_path / file) for file in files), f"--out={tmp_path}/all")
  assert "\n" not in exit.value.code
  assert not list(tmp_path.glob("all*"))
