"""Lists the configs that come with the package; any of them can be given to --config by its name.

  tf-nar configs
  tf-nar train --config=ar_multi30k --print_config

Your own config is a Python file that defines get_config(), as theirs do: --config=mine.py.
"""
from tf_nar import config
from tf_nar import program

flags = program.Flags()


def show() -> None:
  """Prints one line per config."""
  found = config.named()
  width = max(map(len, found))
  for name, about in found.items():
    print(f"{name:{width}}  {about}")


def main(argv: list[str]) -> None:
  program.run("configs", show, argv)
