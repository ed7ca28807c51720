"""Prediction of volumes: sliding windows, Monte Carlo dropout, streaming statistics."""
