"""Measures how long a reader waits in OHIF: `python tests/support/browser/ohif_times.py http://127.0.0.1:8000`.

The server is that of `make ohif`, and gets a dot as the label of each case. It should have images left for all cases.
Prints the bytes and the seconds of the first load, and for each case the seconds from *Save and next* to the next one
drawn, with what the requests in between took.
"""

import argparse
import contextlib
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import psutil
from ohif_page import OhifPage
from ohif_pictures import open_a_study
from playwright.sync_api import sync_playwright

KINDS = {"frames": "/frames/", "metadata": "/metadata", "label": "/datastore/label", "next case": "/activelearning/"}
OTHER = "other"


class Traffic:
    """What a page has fetched since the last look."""

    def __init__(self, ohif: OhifPage) -> None:
        self._bytes = 0
        self._seconds: dict[str, list[float]] = {}
        ohif.page.on("requestfinished", self._note)
        devtools = ohif.page.context.new_cdp_session(ohif.page)
        devtools.send("Network.enable")
        devtools.on("Network.loadingFinished", self._count)

    def _count(self, event: dict[str, Any]) -> None:
        self._bytes += event["encodedDataLength"]

    def _note(self, request: Any) -> None:
        kind = next((kind for kind, part in KINDS.items() if part in request.url), OTHER)
        self._seconds.setdefault(kind, []).append(request.timing["responseEnd"] / 1000)

    def take(self) -> str:
        """Describe it: megabytes, and for each kind of request how many there were and how long one took."""
        kinds = ", ".join(
            f"{len(seconds)} {kind} of {statistics.median(seconds):.3f} s" for kind, seconds in self._seconds.items()
        )
        text = f"{self._bytes / 1e6:.1f} MB: {kinds}"
        self._bytes, self._seconds = 0, {}
        return text


def main(server: str, cases: int) -> None:
    port = int(server.rpartition(":")[2])
    with sync_playwright() as playwright:
        ohif = OhifPage(playwright, server)
        traffic = Traffic(ohif)
        with measured("first load", port, traffic):
            open_a_study(ohif.page, server)
            ohif.wait_for_image()
        ohif.give_name("Ann")
        with measured("first case", port, traffic):
            ohif.next_case()
        for number in range(cases):
            ohif.paint(slices=5)
            traffic.take()
            with measured(f"case {number + 2}", port, traffic):
                sample = ohif.save_and_next()
            assert sample, "no case is left: send more images, or ask for fewer"
        ohif.close()


@contextlib.contextmanager
def measured(what: str, port: int, traffic: Traffic) -> Iterator[None]:
    """Print the seconds that something took, and those of the server's processor."""
    seconds_of = processor(port)
    began, before = time.monotonic(), seconds_of()
    yield
    took, busy = time.monotonic() - began, seconds_of() - before
    sys.stdout.write(f"{what}: {took:.2f} s ({busy:.2f} s of the server's processor), {traffic.take()}\n")
    sys.stdout.flush()


def processor(port: int) -> Callable[[], float]:
    """Return what tells how many seconds the server at a port has computed: processor time, all threads."""
    listening = {
        one.pid for one in psutil.net_connections("tcp") if one.status == psutil.CONN_LISTEN and one.laddr.port == port
    }
    (pid,) = listening
    server = psutil.Process(pid)

    def seconds() -> float:
        times = server.cpu_times()
        return float(times.user + times.system)

    return seconds


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("server", help="its address")
    parser.add_argument("--cases", type=int, default=4, help="how many to save (default: 4)")
    options = parser.parse_args()
    main(options.server.rstrip("/"), options.cases)
