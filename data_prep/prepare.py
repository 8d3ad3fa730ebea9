"""Makes a data folder for training from parallel text: a vocabulary, records, a manifest.

tf_nar/cli/prepare.py has its flags and does the work; in the installed package it is `tf-nar prepare`.
"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from tf_nar import program
from tf_nar.cli import prepare

if __name__ == "__main__":
  program.start(prepare)
