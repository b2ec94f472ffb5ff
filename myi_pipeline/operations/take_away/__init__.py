"""Exporting everything of one user to one file, and importing it again: the parts of all capabilities, combined."""
