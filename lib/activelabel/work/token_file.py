"""A token of the server in a file, for a worker that does not get one through the ledger."""

from pathlib import Path

from activelabel.errors import InvalidInputError, UnavailableError


class TokenFile:
    """The token in a file, which is read each time, since tokens expire and are replaced."""

    def __init__(self, file: str) -> None:
        """Read it once, so that a wrong file is an error at the start; raises the errors of `read_token`."""
        self._file = file
        read_token(file)

    def __call__(self) -> str:
        """The token that the file holds now.

        Raises:
            UnavailableError: it holds none, perhaps because it is being replaced: the worker waits and tries again.
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
