"""docs/tour.ipynb, run cell by cell on tiny runs."""
import json
import pathlib

from tests.data import folders
from tests.export import tiny

NOTEBOOK = pathlib.Path(__file__).parents[1] / "docs/tour.ipynb"


def test_every_cell_runs(tmp_path, monkeypatch, capsys):
  demo = tmp_path / "runs/demo"
  for place, family in (("round_3/student", "nat_em"), ("round_1/teacher", "ar")):
    tiny.make(demo / place, family, folders.VOCAB)
  folders.make(demo / "data", folders.random_pairs(60, longest=11))
  (tmp_path / "docs").mkdir()
  monkeypatch.chdir(tmp_path / "docs")
  cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
  names = {}
  for cell in cells:
    if cell["cell_type"] == "code":
      assert cell["outputs"] == [] and cell["execution_count"] is None  # Results depend on the machine.
      exec("".join(cell["source"]), names)
  assert len(names["said"]) == len(names["references"]) == 2
  assert "bleu_tokenized" in capsys.readouterr().out
  assert (tmp_path / "runs/tour/weights.npz").exists()
