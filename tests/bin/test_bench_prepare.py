"""bin/bench_prepare.py on a small text."""
import re

from tests.bin import people
from tests.data import folders


def test_steps_add_up(load, tmp_path, capsys):
  data = folders.make(tmp_path / "data", folders.random_pairs(20, longest=8))
  for side in ("en", "de"):
    (tmp_path / side).write_text("a b c\n" * 50)
  _, call = load("bench_prepare")
  call(f"--data_dir={data}", f"--source={tmp_path}/en", f"--target={tmp_path}/de", "--lines=40", "--rounds=1")
  printed = capsys.readouterr().out
  assert "40 pairs, median of 1" in printed and "6 tokens a pair" in printed
  shares = [int(share) for share in re.findall(r"(\d+) %", printed)]
  assert len(shares) == 5 and 97 <= sum(shares) <= 103


def test_unequal_files_are_refused(load, tmp_path):
  data = folders.make(tmp_path / "data", folders.random_pairs(20, longest=8))
  (tmp_path / "en").write_text("a\nb\n")
  (tmp_path / "de").write_text("a\n")
  line = people.refused(load("bench_prepare")[1], f"--data_dir={data}", f"--source={tmp_path}/en",
                        f"--target={tmp_path}/de")
  assert re.match("bench_prepare: .*en has 2 lines but .*de has 1", line), line
