"""Reports on experiments, or on a running project: one page in plain words for annotators, with all numbers."""
