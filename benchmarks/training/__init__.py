"""What training costs, and how good the models are."""
