"""What the contract test has to know of the API beyond its document."""

import os

import schemathesis

ROLE = os.environ.get("ROLE", "admin")
MEMBER = "fuzz-member"

# More would be minted, and read, than a test has time for.
CODES_MAX = 500


def positive(case):
    return case.meta is not None and case.meta.generation.mode.is_positive


@schemathesis.hook
def before_call(context, case, kwargs):
    """Bounds what a request asks for, and names a member where the role has to, or must not."""
    query = case.query if isinstance(case.query, dict) else {}
    body = case.body if isinstance(case.body, dict) else {}
    # A long poll waits as long as it is told.
    if "wait" in query and positive(case):
        query["wait"] = 0
    if case.operation.path.endswith("/batches") and isinstance(body.get("count"), int):
        body["count"] = min(body["count"], CODES_MAX)
    if not positive(case):
        return
    # Cursors come from the page before; no schema can make one.
    query.pop("cursor", None)
    takes = {parameter.name for parameter in case.operation.query}
    if ROLE == "service":
        if "member_id" in takes:
            case.query = {**query, "member_id": MEMBER}
        if takes_member(case):
            body.setdefault("member_id", MEMBER)
            case.body = body
            case.media_type = "application/json"
    elif ROLE == "member":
        query.pop("member_id", None)
        if takes_member(case):
            body.pop("member_id", None)


def takes_member(case):
    """Whether a service says in the body for whom it acts."""
    path = case.operation.path
    return path.endswith(("/redemptions", "/preview", "/holds", "/claim", "/activate", "/decline")) and "/members/" not in path
