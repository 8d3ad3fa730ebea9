"""JSON files as they are after a crash or an edit by hand."""
import json

import pytest

from tf_nar.data import json_file


@pytest.mark.parametrize("data", [b'{"a": 1}', b'\xef\xbb\xbf{"a": 1}\r\n', '{"a": 1}'.encode("utf-16")])
def test_an_object_is_read(write, data):
  assert json_file.read(write("it.json", data)) == {"a": 1}
  assert json_file.read(write("it.json", data), lambda values: values["a"]) == 1


@pytest.mark.parametrize("data, message", [
  (b"", "is no JSON"), (b"\n", "is no JSON"), (b'{"a', "is no JSON"), (b"\0" * 9, "is no JSON"),
  (b"\xff\xff\xff", "is no JSON"), (b"[" * 100_000, "is no JSON"),
  (b"[]", "lacks what belongs in it"), (b"1", "lacks what belongs in it"), (b"null", "lacks what belongs in it"),
  (b"{}", r"lacks what belongs in it \(KeyError: 'a'\); restore it, or make its folder again."),
])
def test_what_is_broken_is_named(write, data, message):
  path = write("it.json", data)
  with pytest.raises(ValueError, match=f"^{path} {message}") as error:
    json_file.read(path, lambda values: values["a"])
  assert "\n" not in str(error.value)


def test_a_message_of_the_build_is_kept(write):
  def build(values):
    raise ValueError(f"a must be 2; got {values['a']}.")
  with pytest.raises(ValueError, match="^a must be 2; got 1.$"):
    json_file.read(write("it.json", json.dumps({"a": 1}).encode()), build)
