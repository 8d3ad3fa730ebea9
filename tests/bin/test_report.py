"""bin/report.py from files to files."""
import json

import pytest

from tf_nar.evaluate import report


@pytest.fixture
def call(load):
  return load("report")[1]


def written(path, bleu, ms, digest="d1"):
  path.parent.mkdir(parents=True, exist_ok=True)
  rows = [report.Row("bleu_tokenized", bleu, "tok:none"), report.Row("milliseconds_batch_1", ms, "median")]
  report.write(str(path), rows, {"data": {"source": {"sha256": digest}}})
  return str(path)


def test_reports_become_a_table_and_a_plot(call, tmp_path, capsys):
  one, two = written(tmp_path / "ar/report.json", 40.0, 20.0), written(tmp_path / "ctc/odd.json", 35.0, 2.0)
  call(one, two, f"CTC=again={two}", f"--out={tmp_path}/all")
  lines = (tmp_path / "all.md").read_text().splitlines()
  assert [line.split("|")[1].strip() for line in lines] == ["system", "---", "ar", "ctc, odd", "CTC=again"]
  assert [line.split("  ")[0] for line in capsys.readouterr().out.splitlines()][3:6] == ["ar", "ctc, odd", "CTC=again"]
  assert (tmp_path / "all.png").read_bytes().startswith(b"\x89PNG")


def test_gaps_are_to_the_report_named(call, tmp_path, capsys):
  teacher, plain = written(tmp_path / "ar/report.json", 40.0, 20.0), written(tmp_path / "ctc/odd.json", 35.0, 2.0)
  call(plain, f"--gap_from={teacher}", f"--out={tmp_path}/all")
  assert "No plot of gaps, as no report has a total correlation" in capsys.readouterr().out
  rows, facts = report.read(plain)
  report.write(plain, [*rows, report.Row("excess_nll", 0.3, "nats")], facts)
  call(plain, f"--gap_from={teacher}", f"--out={tmp_path}/all")
  assert (tmp_path / "all.gap.png").read_bytes().startswith(b"\x89PNG")
  assert len((tmp_path / "all.md").read_text().splitlines()) == 3  # The AR run has no line of its own.


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
