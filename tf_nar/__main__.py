"""`python -m tf_nar train ...`, the same as `tf-nar train ...`."""
from tf_nar.cli import command

if __name__ == "__main__":
  command.main()
