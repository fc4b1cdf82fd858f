"""A mail relay that keeps what it takes, read by Python's own mail library: relay.py PORT FOLDER [--tls PEM] [--grey].

--tls PEM   speaks nothing but STARTTLS before it is encrypted (530 5.7.0); without it STARTTLS is not offered
--grey      turns each recipient away at the first try (450 4.7.1)

Each mail becomes FOLDER/N.json. Each recipient that was turned away becomes a line of FOLDER/turned-away.
"""

import argparse
import asyncio
import email
import email.policy
import json
import os
import ssl

from aiosmtpd.smtp import SMTP

options = argparse.ArgumentParser()
options.add_argument("port", type=int)
options.add_argument("folder")
options.add_argument("--tls")
options.add_argument("--grey", action="store_true")
options = options.parse_args()


class Keep:
    def __init__(self):
        self.count = 0
        self.seen = set()

    async def handle_RCPT(self, server, session, envelope, address, rcpt_options):
        if options.grey and address not in self.seen:
            self.seen.add(address)
            with open(os.path.join(options.folder, "turned-away"), "a") as file:
                file.write(address + "\n")
            return "450 4.7.1 Greylisted, come back later"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server, session, envelope):
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        # What breaks a rule of the format shows here.
        defects = [repr(it) for part in mail.walk() for it in part.defects]
        defects += [repr(it) for value in mail.values() for it in getattr(value, "defects", [])]
        parts = {kind: mail.get_body((kind,)) for kind in ("plain", "html")}
        kept = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "encrypted": session.ssl is not None,
            "headers": [[name, str(value)] for name, value in mail.items()],
            "content_type": mail.get_content_type(),
            "parts": {kind: part.get_content() for kind, part in parts.items() if part},
            "defects": defects,
        }
        self.count += 1
        name = os.path.join(options.folder, f"{self.count}.json")
        with open(name + ".part", "w") as file:
            json.dump(kept, file)
        os.rename(name + ".part", name)
        return "250 2.0.0 Kept"


async def main():
    context = None
    if options.tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(options.tls)
    keep = Keep()

    def talk():
        return SMTP(keep, hostname="relay.example", tls_context=context, require_starttls=bool(options.tls))

    server = await asyncio.get_running_loop().create_server(talk, "127.0.0.1", options.port)
    await server.serve_forever()


asyncio.run(main())
