"""The image's health check: python -m scoring.health PORT. Exit code 0 when the server is ready.

Nothing but the standard library.
"""

import http.client
import os
import ssl
import sys


def main() -> None:
    """Ask the server in this container, by https when it speaks that."""
    port = int(sys.argv[1])
    if os.environ.get("SCORING_TLS_CERT"):  # it is asked by its address, which stands in no certificate
        context = ssl._create_unverified_context()  # noqa: S323, SLF001
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            "127.0.0.1", port, timeout=4, context=context
        )
    else:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=4)
    connection.request("GET", "/readyz")
    sys.exit(connection.getresponse().status != http.client.OK)


if __name__ == "__main__":
    main()
