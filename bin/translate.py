"""Translates text, one sentence a line, in the order it came.

tf_nar/cli/translate.py has its flags and its work; installed, it is `tf-nar translate`.
"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from tf_nar import program
from tf_nar.cli import translate

if __name__ == "__main__":
  program.start(translate)
