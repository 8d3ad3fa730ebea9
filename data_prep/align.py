"""Aligns the training pairs of a data folder word by word, for the models that learn fertilities.

tf_nar/cli/align.py has its flags and its work; installed, it is `tf-nar align`.
"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from tf_nar import program
from tf_nar.cli import align

if __name__ == "__main__":
  program.start(align)
