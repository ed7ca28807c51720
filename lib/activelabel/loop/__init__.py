"""What the loop does by itself: what is due, scoring, what a training learns from, advice."""
