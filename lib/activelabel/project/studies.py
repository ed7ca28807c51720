"""The location of the studies: a folder or a PACS."""


def is_pacs(studies: str) -> bool:
    """Whether `--studies` is the address of a PACS."""
    return studies.startswith(("http://", "https://"))
