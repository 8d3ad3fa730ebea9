"""Makes a shortlist of the vocabulary: for each sentence the few words that its translation may need.

tf_nar/cli/shortlist.py has its flags and does the work; in the installed package it is `tf-nar shortlist`.
"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from tf_nar import program
from tf_nar.cli import shortlist

if __name__ == "__main__":
  program.start(shortlist)
