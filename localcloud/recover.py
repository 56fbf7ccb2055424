"""Stack operations that a dead cloud left behind get a final status, so that the next deploy has a way on.

Never undoes anything: a failed create is to be deleted, an update keeps its old template and is to be tried
again.
"""

from __future__ import annotations

import logging

from ministack.services import cloudformation
from ministack.services.cloudformation.stacks import _add_event

log = logging.getLogger("localcloud")
REASON = "The local cloud was stopped during the operation."
# What each unfinished status becomes. An update keeps the template of before (ministack stores the new one on
# success only), which is what UPDATE_ROLLBACK_COMPLETE says; repeating it converges.
FINAL = {
    "CREATE_IN_PROGRESS": "ROLLBACK_COMPLETE",
    "ROLLBACK_IN_PROGRESS": "ROLLBACK_COMPLETE",
    "UPDATE_IN_PROGRESS": "UPDATE_ROLLBACK_COMPLETE",
    "UPDATE_ROLLBACK_IN_PROGRESS": "UPDATE_ROLLBACK_COMPLETE",
    "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS": "UPDATE_ROLLBACK_COMPLETE",
    "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS": "UPDATE_COMPLETE",
    "DELETE_IN_PROGRESS": "DELETE_FAILED",
}


def interrupted_operations() -> None:
    """Called once, before the first request."""
    from ministack.core.responses import request_scope

    for (account, region, name), stack in list(cloudformation._stacks._data.items()):
        final = FINAL.get(stack.get("StackStatus", ""))
        if final is None:
            continue
        log.warning("stack %s was in %s; it is now %s", name, stack["StackStatus"], final)
        stack["StackStatus"] = final
        stack["StackStatusReason"] = REASON
        with request_scope(account, region):
            _add_event(
                stack["StackId"], name, name, "AWS::CloudFormation::Stack", final, REASON, stack["StackId"]
            )
    for change_set in cloudformation._change_sets._data.values():
        if change_set.get("ExecutionStatus") == "EXECUTE_IN_PROGRESS":
            change_set["ExecutionStatus"] = "EXECUTE_FAILED"
