"""The server's addresses as an OpenAPI document, served at /openapi.json. Change it with the routes of app.py.

Pure, and written by hand. It names Twilio's webhooks without their parameters, which Twilio's documentation describes.
"""

from typing import Any

from bridge import __version__
from bridge.console.answers import HEADERS

Description = dict[str, Any]


def _object(**properties: Description) -> Description:
    return {"type": "object", "properties": properties, "required": [*properties], "additionalProperties": False}


def _said(description: str, schema: Description | None = None, type: str = "application/json") -> Description:
    answer: Description = {"description": description, "headers": {"Cache-Control": {"schema": {
        "type": "string", "enum": [HEADERS["Cache-Control"]]}}}}
    return answer if schema is None else answer | {"content": {type: {"schema": schema}}}


def _text(description: str) -> Description:
    return _said(description, {"type": "string"}, "text/plain")


_TEXT: Description = {"type": "string"}
_FLAG: Description = {"type": "boolean"}
_SCHEMA: Description = {"type": "object"}
_FAULT = _said("A fault of ours. The log has its id.", _object(error=_TEXT, id=_TEXT))
_KEPT_OUT = {
    "401": _text("The password is missing or wrong."), "404": _text("There is no password: nobody is the operator."),
    "429": _text("Too many wrong passwords. Retry-After says when to come back."),
}
_OPERATOR: list[dict[str, list[str]]] = [{"basic": []}, {"bearer": []}]
_NOT_TWILIO = {
    "400": _text("The body is no form, or has impossible values."),
    "403": _text("Twilio did not sign it."), "413": _text("The body is too long."),
}


def _get(summary: str, answers: dict[str, Description], **more: Any) -> Description:
    return {"get": {"summary": summary, "responses": answers | {"500": _FAULT}, **more}}


def _webhook(summary: str) -> Description:
    """A webhook of Twilio's, by GET and by POST, signed in the header X-Twilio-Signature."""
    answers = {"200": _said("What the call does next.", {"type": "string"}, "text/xml"), **_NOT_TWILIO, "500": _FAULT}
    form = {"content": {"application/x-www-form-urlencoded": {"schema": {
        "type": "object", "additionalProperties": {"type": "string"}}}}}
    operation = {"summary": summary, "responses": answers, "security": [{"twilio": []}]}
    return {"get": operation, "post": operation | {"requestBody": form}}


def _recorded() -> Description:
    """Twilio's news of a recording. It needs no TwiML, and may have to be sent again."""
    described = _webhook("Twilio has recorded a message")
    more = {"204": _said("It is written down."), "503": _text("It could not be written down: send it again.")}
    return {method: each | {"responses": each["responses"] | more} for method, each in described.items()}


def _status() -> Description:
    """Twilio's news of a call's end, which need no answer."""
    described = _webhook("A call is over")
    told = {"204": _said("It is known.")}
    return {method: each | {"responses": {
        status: answer for status, answer in each["responses"].items() if status != "200"} | told}
        for method, each in described.items()}


PATHS: dict[str, Description] = {
    "/": _get("Which server this is", {
        "200": _said("It runs.", _object(service=_TEXT, version=_TEXT, status=_TEXT))}),
    "/healthz": _get("Whether the process is well", {"200": _said("It is.", _object(status=_TEXT))}),
    "/readyz": _get("Whether calls may come, and for the operator why not", {
        str(status): _said(said, {
            "type": "object", "required": ["ready"], "additionalProperties": False,
            "properties": {"ready": _FLAG, "reasons": {"type": "array", "items": _TEXT}}})
        for status, said in ((200, "They may."), (503, "They should go elsewhere."))
    } | {status: _KEPT_OUT[status] for status in ("401", "429")}, security=[{}, *_OPERATOR]),
    "/metrics": _get("Figures for Prometheus", {
        "200": _said("All of them.", {"type": "string"}, "text/plain"), **_KEPT_OUT}, security=_OPERATOR),
    "/meeting.schema.json": _get("What a webhook gets about a meeting", {
        "200": _said("A JSON Schema.", _SCHEMA, "application/schema+json")}),
    "/message.schema.json": _get("What a webhook gets about a message", {
        "200": _said("A JSON Schema.", _SCHEMA, "application/schema+json")}),
    "/call.schema.json": _get("What a webhook gets of a call that is over", {
        "200": _said("A JSON Schema.", _SCHEMA, "application/schema+json")}),
    "/openapi.json": _get("This document", {"200": _said("It.", _SCHEMA)}),
    "/incoming-call": _webhook("Somebody calls"),
    "/after-stream": _webhook("A call's stream has ended"),
    "/transfer-ended": _webhook("A transfer is over"),
    "/message-recorded": _recorded(),
    "/call-status": _status(),
    "/media-stream/{number}": _get("A call's stream, a websocket", {
        "101": _said("The stream is open."), **_NOT_TWILIO,
        "503": _text("There are too many calls, or the server stops.")}, security=[{"twilio": []}], parameters=[{
            "name": "number", "in": "path", "required": True, "description": "The caller's digits, or `anonymous`.",
            "schema": {"type": "string", "pattern": "^[^/{}]+$"}}]),
}

DOCUMENT: Description = {
    "openapi": "3.1.0",
    "info": {"title": "bridge", "version": __version__, "summary": "An AI that answers phone calls."},
    "paths": PATHS,
    "components": {"securitySchemes": {
        "basic": {"type": "http", "scheme": "basic", "description": "Any user, and ADMIN_PASSWORD."},
        "bearer": {"type": "http", "scheme": "bearer", "description": "ADMIN_PASSWORD."},
        "twilio": {"type": "apiKey", "in": "header", "name": "X-Twilio-Signature"},
    }},
}
