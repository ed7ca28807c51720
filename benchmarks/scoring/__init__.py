"""What scoring costs, and whether what makes it cheaper keeps the ranking."""
