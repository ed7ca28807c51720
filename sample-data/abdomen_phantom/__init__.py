"""Small synthetic abdominal CT volumes with labels: who is scanned, what is inside, how the scanner sees it."""
