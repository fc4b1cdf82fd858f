"""Waits until an address answers 200, at most a minute."""

import sys
import time
import urllib.error
import urllib.request

end = time.monotonic() + 60
while time.monotonic() < end:
    try:
        with urllib.request.urlopen(sys.argv[1], timeout=5) as answer:
            print(sys.argv[1].rsplit("/", 1)[1], answer.status, answer.read().decode().strip()[:200])
            sys.exit(0)
    except (urllib.error.URLError, OSError):
        time.sleep(0.2)
sys.exit(1)
