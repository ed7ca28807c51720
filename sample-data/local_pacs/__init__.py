"""A small PACS on this machine with CT series in it: for the demonstration in OHIF, and for tests."""
