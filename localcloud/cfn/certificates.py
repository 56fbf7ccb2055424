"""When a certificate of ACM is issued: at once if its validation is a DNS record, which is not looked for here, and
never if it is a mail, which nobody reads here.
"""

from __future__ import annotations

import json

from ministack.services import acm

from localcloud.emulator.shapes import Answer, Operation


def waiting_for_mail(request: Operation) -> Operation:
    """RequestCertificate; what is validated by mail stays `PENDING_VALIDATION`."""

    def handler(data: dict) -> Answer:
        answer: Answer = request(data)
        if answer[0] == 200 and data.get("ValidationMethod") == "EMAIL":
            arn = json.loads(answer[2])["CertificateArn"]
            acm._certificates[arn]["Status"] = "PENDING_VALIDATION"
        return answer

    return handler
