"""A page that says what experiments, or a running project, have shown: for who annotates, all numbers beside it."""
