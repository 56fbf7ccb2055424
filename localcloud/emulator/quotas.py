"""Service Quotas: the limits of a new account, for the quotas that the tool asks for. An increase is granted at
once. Nothing here keeps anybody from exceeding a quota.
"""

from __future__ import annotations

import copy
import json

from ministack.core.responses import AccountRegionScopedDict, new_uuid

from localcloud.emulator.shapes import Answer

TARGET_PREFIX = "ServiceQuotasV20190624"
# (service, quota): name and AWS's default for a new account, where the two differ what a new account gets.
DEFAULTS: dict[tuple[str, str], tuple[str, float]] = {
    ("ec2", "L-1216C47A"): ("Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances", 5.0),
    ("ec2", "L-34B43A08"): ("All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests", 5.0),
    ("ec2", "L-0263D0A3"): ("EC2-VPC Elastic IPs", 5.0),
    ("vpc", "L-F678F1CE"): ("VPCs per Region", 5.0),
    ("fargate", "L-3032A538"): ("Fargate On-Demand vCPU resource count", 6.0),
    ("fargate", "L-36FBB829"): ("Fargate Spot vCPU resource count", 6.0),
}


class QuotaError(Exception):
    """An error of the service, by its own code."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Quotas:
    """What ministack takes for a service module: request handling and state."""

    def __init__(self) -> None:
        self._granted = AccountRegionScopedDict()
        self.operations = {
            "GetServiceQuota": self._get,
            "GetAWSDefaultServiceQuota": self._get_default,
            "RequestServiceQuotaIncrease": self._increase,
        }

    def get_state(self) -> dict:
        return {"granted": copy.deepcopy(self._granted)}

    def load_persisted_state(self, data: dict) -> None:
        self._granted.update(data.get("granted", {}))

    def reset(self) -> None:
        self._granted.clear()

    async def handle_request(
        self, method: str, path: str, headers: dict, body: bytes, query_params: dict
    ) -> Answer:
        operation = headers.get("x-amz-target", "").rpartition(".")[2]
        try:
            handler = self.operations.get(operation)
            if handler is None:
                raise QuotaError("UnknownOperationException", f"there is no operation {operation} here")
            return _answer(200, handler(json.loads(body or b"{}")))
        except QuotaError as error:
            return _answer(400, {"__type": error.code, "Message": str(error)})

    def _get(self, request: dict) -> dict:
        service, code, name, default = _known(request)
        value = self._granted.get(f"{service}/{code}", default)
        return {"Quota": _quota(service, code, name, value)}

    def _get_default(self, request: dict) -> dict:
        return {"Quota": _quota(*_known(request))}

    def _increase(self, request: dict) -> dict:
        service, code, name, default = _known(request)
        wanted = float(request["DesiredValue"])
        if wanted <= self._granted.get(f"{service}/{code}", default):
            raise QuotaError(
                "IllegalArgumentException",
                "You must provide a quota value greater than or equal to the current quota value",
            )
        self._granted[f"{service}/{code}"] = wanted
        quota = _quota(service, code, name, wanted)
        return {"RequestedQuota": {**quota, "Id": new_uuid(), "DesiredValue": wanted, "Status": "APPROVED"}}


def _known(request: dict) -> tuple[str, str, str, float]:
    key = (request.get("ServiceCode", ""), request.get("QuotaCode", ""))
    if key not in DEFAULTS:
        raise QuotaError(
            "NoSuchResourceException", "The request failed because the specified quota does not exist"
        )
    return (*key, *DEFAULTS[key])


def _quota(service: str, code: str, name: str, value: float) -> dict:
    return {"ServiceCode": service, "QuotaCode": code, "QuotaName": name, "Value": value, "Adjustable": True}


def _answer(status: int, document: dict) -> Answer:
    return status, {"Content-Type": "application/x-amz-json-1.1"}, json.dumps(document).encode()
