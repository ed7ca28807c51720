"""The token of a worker in a file, where it does not let itself in by the ledger."""

from pathlib import Path

from activelabel.errors import InvalidInputError, UnavailableError


class TokenFile:
    """The token in a file, which is read each time, since tokens expire and are replaced."""

    def __init__(self, file: str) -> None:
        """Read it once, so that a wrong file is said at once; see `read_token`."""
        self._file = file
        read_token(file)

    def __call__(self) -> str:
        """The token that is there now.

        Raises:
            UnavailableError: there is none now: it is perhaps being replaced, and no image is to blame.
        """
        try:
            return read_token(self._file)
        except InvalidInputError as error:
            raise UnavailableError(str(error)) from error


def read_token(file: str) -> str:
    """The token in a file.

    Raises:
        InvalidInputError: the file cannot be read, or holds more than a token.
    """
    try:
        token = Path(file).read_text(encoding="utf-8").strip()
    except (OSError, ValueError) as error:
        raise InvalidInputError(f"--token-file {file}: cannot be read ({error}): name another") from error
    if not token or len(token.split()) != 1:
        raise InvalidInputError(f"--token-file {file}: expected one word, the token of POST /auth/token")
    return token
