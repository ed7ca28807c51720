"""How well and at what cost a strategy does, judged on cases whose true labels are known."""
