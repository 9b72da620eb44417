"""A client that sends one picture after the other to `URL`, each over a new connection; it prints JSON lines.

It runs in a pod of the inference service's image. `at` is the Unix time at which the answer was complete.
"""

from __future__ import annotations

import http.client
import io
import json
import sys
import time
from urllib.parse import urlsplit

from PIL import Image

BOUNDARY = "boundary-of-the-benchmark"
TIMEOUT = 60.0


def body() -> bytes:
    """Return a form with one JPEG file."""
    picture = io.BytesIO()
    Image.effect_noise((640, 480), 60).convert("RGB").save(picture, "JPEG")
    disposition = 'Content-Disposition: form-data; name="file"; filename="a.jpg"'
    head = f"--{BOUNDARY}\r\n{disposition}\r\nContent-Type: image/jpeg\r\n\r\n"
    return head.encode() + picture.getvalue() + f"\r\n--{BOUNDARY}--\r\n".encode()


def ask(url: str, content: bytes) -> dict[str, object]:
    """Send one picture; return the status, or the error, and the version that answered."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=TIMEOUT)
    begun = time.time()
    try:
        headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
        connection.request("POST", parts.path, content, headers)
        answer = connection.getresponse()
        text = answer.read()
        version = json.loads(text)["model_version"] if answer.status == 200 else None
        return {"begun": begun, "at": time.time(), "status": answer.status, "version": version}
    except (OSError, http.client.HTTPException) as error:
        return {"begun": begun, "at": time.time(), "status": 0, "error": str(error) or type(error).__name__}
    finally:
        connection.close()


def main(url: str) -> None:
    """Ask until the process is ended."""
    content = body()
    while True:
        found = ask(url, content)
        print(json.dumps(found), flush=True)
        if found["status"] != 200:
            time.sleep(0.02)


if __name__ == "__main__":
    main(sys.argv[1])
