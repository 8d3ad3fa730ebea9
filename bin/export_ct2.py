"""Makes of an AR run a CTranslate2 folder that translates, for which only CTranslate2 and the tokeniser are needed.

tf_nar/cli/export_ct2.py has its flags and its work; installed, it is `tf-nar export_ct2`.
"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from tf_nar import program
from tf_nar.cli import export_ct2

if __name__ == "__main__":
  program.start(export_ct2)
