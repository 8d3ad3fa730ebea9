"""Translates text, one sentence per line, in order.

tf_nar/cli/translate.py has its flags and does the work; in the installed package it is `tf-nar translate`.
"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from tf_nar import program
from tf_nar.cli import translate

if __name__ == "__main__":
  program.start(translate)
