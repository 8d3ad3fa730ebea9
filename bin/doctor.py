"""Checks an installation, and prints for each problem the command that fixes it.

tf_nar/cli/doctor.py has its flags and does the work; in the installed package it is `tf-nar doctor`.
"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from tf_nar.cli import doctor

if __name__ == "__main__":
  sys.exit(doctor.main())
