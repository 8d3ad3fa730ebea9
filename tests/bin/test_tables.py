"""The tables in docs/ are what the commands beside them make of the reports."""
import re
import shlex

import pytest

from tests import test_docs
from tf_nar.evaluate import comparison
from tf_nar.evaluate import gaps

LIST = "--list=docs/reports/"
COMMAND = re.compile(rf"^python bin/report\.py ({LIST}.*)$", re.MULTILINE)
TEXTS = [re.sub(r"\\\n\s*", "", page.read_text()) for page in test_docs.PAGES]
TABLES = [shlex.split(words) for text in TEXTS for words in COMMAND.findall(text)]


def test_every_list_has_its_command():
  named = {word.removeprefix("--list=") for words in TABLES for word in words if word.startswith(LIST)}
  assert named == {str(path.relative_to(test_docs.ROOT)) for path in (test_docs.ROOT / "docs/reports").glob("*.txt")}


@pytest.mark.parametrize("words", TABLES, ids=lambda words: words[-1])
def test_a_table_is_of_its_reports(words, load, tmp_path, monkeypatch):
  """Mend a table by the command in docs/results that makes it."""
  monkeypatch.chdir(test_docs.ROOT)
  for module in (comparison, gaps):
    monkeypatch.setattr(module, "plot", lambda *_: True)
  out = words[-1].removeprefix("--out=")
  load("report")[1](*words[:-1], f"--out={tmp_path}/table")
  for path in tmp_path.glob("*.md"):
    assert (test_docs.ROOT / path.name.replace("table", out, 1)).read_text() == path.read_text()
