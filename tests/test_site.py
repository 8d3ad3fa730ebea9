"""The docs as a site."""
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parent.parent


def test_every_page_is_in_the_site():
  listed = (ROOT / "mkdocs.yml").read_text()
  pages = (page.relative_to(ROOT / "docs") for page in sorted((ROOT / "docs").rglob("*.md")))
  assert [str(page) for page in pages if f": {page}\n" not in listed] == []


def test_the_site_is_built_without_a_warning(tmp_path):
  pytest.importorskip("mkdocs")
  pytest.importorskip("material")
  done = subprocess.run([sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "-d", tmp_path], cwd=ROOT,
                        env=os.environ | {"NO_MKDOCS_2_WARNING": "true"}, capture_output=True, text=True)
  assert done.returncode == 0, done.stderr
  assert "NAT" in (tmp_path / "families/index.html").read_text()
