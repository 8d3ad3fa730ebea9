"""Exports an AR run to a CTranslate2 folder, which needs only CTranslate2 and the tokeniser to translate.

tf_nar/cli/export_ct2.py has its flags and does the work; in the installed package it is `tf-nar export_ct2`.
"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from tf_nar import program
from tf_nar.cli import export_ct2

if __name__ == "__main__":
  program.start(export_ct2)
