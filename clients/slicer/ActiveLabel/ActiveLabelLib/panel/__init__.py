"""What a person sees: the panel, its parts and its sentences. `panel*.py` need Qt."""
