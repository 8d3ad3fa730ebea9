"""Trains an AR teacher and a NAR student in turns: EM for non-autoregressive translation (Sun & Yang, ICML 2020).

tf_nar/cli/em.py has its flags and does the work; in the installed package it is `tf-nar em`.
"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from tf_nar import program
from tf_nar.cli import em

if __name__ == "__main__":
  program.start(em)
