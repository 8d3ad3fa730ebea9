"""Trains one experiment from a data folder into a run folder: where data, model, loop and measures meet."""
