"""The SMS carrier's own library, asked by the tests. One JSON question on standard input, one JSON answer on output."""

import json
import sys

from twilio.http import HttpClient
from twilio.http.response import Response
from twilio.request_validator import RequestValidator
from twilio.rest import Client


class Recorder(HttpClient):
    """Keeps the request that the library would send."""

    def __init__(self):
        self.kept = None

    def request(self, method, url, params=None, data=None, headers=None, auth=None, **_):
        self.kept = {"method": method, "url": url, "form": data, "auth": list(auth)}
        return Response(201, json.dumps({"sid": "SM1", "status": "queued"}))


question = json.load(sys.stdin)
if question["ask"] == "sign":
    validator = RequestValidator(question["token"])
    answer = validator.compute_signature(question["url"], dict(question["form"]))
elif question["ask"] == "send":
    recorder = Recorder()
    client = Client(question["user"], question["secret"], account_sid=question["account"], http_client=recorder)
    client.messages.create(**question["message"])
    answer = recorder.kept
json.dump(answer, sys.stdout)
