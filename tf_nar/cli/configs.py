"""Lists the configs that come with the package, with what each is; any of them goes into --config by its name.

  tf-nar configs
  tf-nar train --config=ar_multi30k --print_config

A config of your own is a Python file that defines get_config(), as those do: --config=mine.py.
"""
from tf_nar import config
from tf_nar import program

flags = program.Flags()


def show():
  """Prints a line a config."""
  found = config.named()
  width = max(map(len, found))
  for name, about in found.items():
    print(f"{name:{width}}  {about}")


def main(argv):
  program.run("configs", show, argv)
