"""`activelabel doctor`: what it checks, and the advice that it gives."""
