"""Compares runs by their reports: a table, and a plot of BLEU against the time per sentence.

tf_nar/cli/report.py has its flags and does the work; in the installed package it is `tf-nar report`.
"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from tf_nar import program
from tf_nar.cli import report

if __name__ == "__main__":
  program.start(report)
