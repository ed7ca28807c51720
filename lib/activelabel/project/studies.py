"""Where the studies are: in a folder, or in a PACS."""


def is_pacs(studies: str) -> bool:
    """Whether `--studies` is the address of a PACS."""
    return studies.startswith(("http://", "https://"))
