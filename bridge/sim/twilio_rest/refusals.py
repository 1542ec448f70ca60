"""What is refused, in Twilio's words and with its codes: https://www.twilio.com/docs/api/errors"""

from collections.abc import Iterable, Mapping

from aiohttp import web


class Refused(Exception):
    """An answer with Twilio's own code."""

    def __init__(self, status: int, code: int, message: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message = status, code, message


def unauthorized() -> Refused:
    """Also for an account that is closed: https://www.twilio.com/docs/api/errors/20003"""
    return Refused(401, 20003, "Authenticate")


def not_found(path: str) -> Refused:
    return Refused(404, 20404, f"The requested resource {path} was not found")


def wrong(message: str) -> Refused:
    return Refused(400, 20001, message)


def outage(status: int) -> Refused:
    if status == 429:
        return Refused(429, 20429, "Too Many Requests")
    return Refused(status, 20500, "An internal server error has occurred")


def require_known(given: Mapping[str, str], known: Iterable[str]) -> None:
    """Raises Refused for a parameter that there is not. Twilio passes it over, which is a client's mistake all the
    same."""
    if unknown := given.keys() - set(known):
        raise wrong(f"Unknown parameters: {', '.join(sorted(unknown))}.")


def problem(refused: Refused) -> web.Response:
    return web.json_response(status=refused.status, data={
        "code": refused.code, "message": refused.message, "status": refused.status,
        "more_info": f"https://www.twilio.com/docs/errors/{refused.code}"})
