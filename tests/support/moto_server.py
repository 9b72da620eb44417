"""moto's server of S3, with two users: one may write, the other may only read one bucket."""

from __future__ import annotations

import contextlib
import json
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import boto3
from moto.server import ThreadedMotoServer

REGION = "us-east-1"


@dataclass(frozen=True, slots=True)
class ObjectServer:
    """The server's port, and what its users may do."""

    port: int
    bucket: str
    store: Any
    """A client of boto3 that may write."""
    reader: dict[str, str]
    """The credentials of a user that may read the bucket's objects, by the keys of a Secret."""
    stranger: dict[str, str]
    """Those of a user that may read nothing."""


@contextlib.contextmanager
def object_server() -> Iterator[ObjectServer]:
    """Serve one private bucket; whoever asks must be a user with the right to."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        _, port = server.get_host_and_port()
        url = f"http://127.0.0.1:{port}"

        def client(service: str, key: str = "none", secret: str = "none") -> Any:
            made = boto3.client(
                service, endpoint_url=url, region_name=REGION, aws_access_key_id=key, aws_secret_access_key=secret
            )
            opened.callback(made.close)
            return made

        with contextlib.ExitStack() as opened:
            # A server before it in the same process has left its users and its checks.
            _post(f"{url}/moto-api/reset")
            _post(f"{url}/moto-api/reset-auth", b"inf")
            users = client("iam")
            writer = _user(users, "writer", "arn:aws:s3:::*")
            reader = _user(users, "reader", "arn:aws:s3:::whales/*", actions="s3:GetObject")
            stranger = _user(users, "stranger", "arn:aws:s3:::other/*")
            _post(f"{url}/moto-api/reset-auth", b"0")  # signatures and rights are checked from now on
            store = client("s3", writer["AWS_ACCESS_KEY_ID"], writer["AWS_SECRET_ACCESS_KEY"])
            store.create_bucket(Bucket="whales")
            yield ObjectServer(port, "whales", store, reader, stranger)
    finally:
        server.stop()


def _user(users: Any, name: str, resource: str, *, actions: str = "s3:*") -> dict[str, str]:
    users.create_user(UserName=name)
    statement = {"Effect": "Allow", "Action": actions, "Resource": resource}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    users.put_user_policy(UserName=name, PolicyName="rights", PolicyDocument=policy)
    key = users.create_access_key(UserName=name)["AccessKey"]
    return {
        "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
        "AWS_REGION": REGION,
    }


def _post(url: str, data: bytes = b"") -> None:
    request = urllib.request.Request(url, data=data, headers={"Content-Type": "text/plain"}, method="POST")
    with urllib.request.urlopen(request) as answer:
        assert answer.status == 200
