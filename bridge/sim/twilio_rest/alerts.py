"""What Twilio noted in its debugger. What was asked and answered is told only of one alert that is fetched.

Source: https://www.twilio.com/docs/usage/monitor-alert
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from bridge.sim.twilio_rest import paging
from bridge.sim.twilio_rest.refusals import not_found, require_known, wrong

LEVELS = ("error", "warning", "notice", "debug")
#: Older ones cannot be asked for.
KEPT = timedelta(days=30)


@dataclass
class Alert:
    """One of them; the last three are its detail."""

    error_code: str
    request_url: str
    resource_sid: str = ""
    log_level: str = "error"
    request_method: str = "POST"
    #: As Twilio has it: a query string such as `Msg=bad&sourceComponent=12000&httpResponse=502`.
    alert_text: str = ""
    date_generated: datetime = field(default_factory=lambda: datetime.now(UTC))
    request_variables: str = ""
    response_body: str = ""
    response_headers: str = ""
    sid: str = field(default_factory=lambda: f"NO{uuid4().hex}")


def listed(alerts: Sequence[Alert], origin: str, account_sid: str, query: Mapping[str, str]) -> dict[str, Any]:
    """The newest first. Raises Refused."""
    require_known(query, ("LogLevel", "StartDate", "EndDate", *paging.PARAMETERS))
    if query.get("LogLevel", "error") not in LEVELS:
        raise wrong(f"LogLevel is none of {', '.join(LEVELS)}.")
    begin, end = _moment(query.get("StartDate")), _moment(query.get("EndDate"))
    if begin and begin < datetime.now(UTC) - KEPT:
        raise wrong("StartDate is more than 30 days ago.")
    found = [_shown(each, origin, account_sid) for each in sorted(alerts, key=_generated, reverse=True)
             if each.log_level == query.get("LogLevel", each.log_level)
             and (begin is None or each.date_generated >= begin) and (end is None or each.date_generated <= end)]
    page = paging.page(found, f"{origin}/v1/Alerts", query)
    return {"alerts": page.records, "meta": {
        "key": "alerts", "page": page.number, "page_size": page.size, "url": page.this, "first_page_url": page.first,
        "previous_page_url": page.previous, "next_page_url": page.next}}


def fetched(alerts: Sequence[Alert], origin: str, account_sid: str, sid: str) -> dict[str, Any]:
    for each in alerts:
        if each.sid == sid:
            return _shown(each, origin, account_sid) | {
                "request_variables": each.request_variables, "response_body": each.response_body,
                "response_headers": each.response_headers, "request_headers": ""}
    raise not_found(f"/v1/Alerts/{sid}")


def _generated(alert: Alert) -> datetime:
    return alert.date_generated


def _shown(alert: Alert, origin: str, account_sid: str) -> dict[str, Any]:
    return {
        "sid": alert.sid, "account_sid": account_sid, "error_code": alert.error_code, "log_level": alert.log_level,
        "alert_text": alert.alert_text, "request_url": alert.request_url, "request_method": alert.request_method,
        "resource_sid": alert.resource_sid, "service_sid": None, "api_version": "2010-04-01",
        "date_generated": f"{alert.date_generated:%Y-%m-%dT%H:%M:%SZ}",
        "date_created": f"{alert.date_generated:%Y-%m-%dT%H:%M:%SZ}",
        "date_updated": f"{alert.date_generated:%Y-%m-%dT%H:%M:%SZ}",
        "more_info": f"https://www.twilio.com/docs/errors/{alert.error_code}", "url": f"{origin}/v1/Alerts/{alert.sid}"}


def _moment(value: str | None) -> datetime | None:
    if value is None:
        return None
    try:
        return datetime.strptime(value, "%Y-%m-%dT%H:%M:%SZ" if "T" in value else "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise wrong(f"{value} is neither YYYY-MM-DD nor YYYY-MM-DDThh:mm:ssZ.") from None
