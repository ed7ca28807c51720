"""Simulated annotation: the quality and the cost of strategies, judged on cases whose true labels are known."""
