"""A package that is missing is named, with what installs it."""
import sys

import pytest

from tf_nar.export import optional


def test_a_missing_package_is_named(monkeypatch):
  assert optional.package("sys") is sys
  monkeypatch.setitem(sys.modules, "nncf", None)
  with pytest.raises(ImportError, match="Expected nncf, which is not installed: pip install -c .* nncf"):
    optional.package("nncf")
