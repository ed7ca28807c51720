"""The work of one person: cases that open, are drawn and reviewed, and go back."""
