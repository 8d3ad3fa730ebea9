"""Compares runs by their reports: a table, and BLEU against the time that a sentence takes.

tf_nar/cli/report.py has its flags and its work; installed, it is `tf-nar report`.
"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from tf_nar import program
from tf_nar.cli import report

if __name__ == "__main__":
  program.start(report)
