"""The tables of the ledger. The migrations create them; a test checks that both agree.

The database itself enforces these rules: at most one active lease per annotator, one holder per slice or volume, one
current annotation per image and tag, one open draft per image and annotator, one open review per image, one standing
decision per label, one number per model version, one comparison with a model per label.

Tables refer to each other by name, so all are known as soon as one of them is imported.
"""

from activelabel.store.schema import images, labels, models, people, queries, reviews, study, work

__all__ = ["images", "labels", "models", "people", "queries", "reviews", "study", "work"]
