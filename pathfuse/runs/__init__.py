"""Run folders: the files of a run, opened and written in one place."""
