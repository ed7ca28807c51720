"""Words of lines about several patients, which name the first one only."""

from collections.abc import Sized


def like_others(patients: Sized, one: str, several: str) -> str:
    """What a line about the first of `patients` says of the others, with a verb: `, as have 2 other patients`.

    Args:
        patients: those of whom the line holds.
        one: the verb for one other patient.
        several: the verb for more.
    """
    others = len(patients) - 1
    if others < 1:
        return ""
    return f", as {one} 1 other patient" if others == 1 else f", as {several} {others} other patients"
