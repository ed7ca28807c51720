"""A network run over a volume: sliding windows, Monte Carlo dropout, streaming statistics."""
