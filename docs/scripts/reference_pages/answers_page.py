"""The JSON of `GET /info/`, of a next sample and of a label that was saved."""

from collections.abc import Mapping

from activelabel.server.routes import answer_keys
from reference_pages.markdown import code, page, section, table

INTRODUCTION = """
In a key, `.` leads into an object and `[]` into each entry of a list; a name in braces stands for any name; `.*` says
that the keys below are described elsewhere.
""".strip()


def answers_page() -> str:
    """The page."""
    return page(
        "Answers",
        INTRODUCTION,
        section(
            "`GET /info/`",
            keys(answer_keys.INFO),
            "Where the studies are those of a PACS, it has these too:",
            keys(answer_keys.INFO_OF_A_PACS),
        ),
        section(
            "`POST /activelearning/{strategy}`: the next sample",
            "The body may say:",
            keys(answer_keys.NEXT_SAMPLE_PARAMS),
            "The answer is an empty object where nothing is left. Else it has these keys, and those that DICOM has.",
            keys(answer_keys.NEXT_SAMPLE),
        ),
        section(
            "`PUT /datastore/label`: a label is saved",
            "Its form field `params` is a JSON object, which may say:",
            keys(answer_keys.LABEL_PARAMS),
            "The answer:",
            keys(answer_keys.SAVED_LABEL),
        ),
    )


def keys(described: Mapping[str, str]) -> str:
    """A table of keys."""
    return table(("key", "what it is"), ((code(key), said) for key, said in described.items()))
