"""Alternates teacher and student: EM for non-autoregressive translation (Sun & Yang, ICML 2020).

tf_nar/cli/em.py has its flags and its work; installed, it is `tf-nar em`.
"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from tf_nar import program
from tf_nar.cli import em

if __name__ == "__main__":
  program.start(em)
