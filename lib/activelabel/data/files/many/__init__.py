"""The files of a folder in little memory and time for each: there may be a million."""
