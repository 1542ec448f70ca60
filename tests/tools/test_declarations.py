"""What the model is told of each function."""

import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

from bridge.tools import declarations
from bridge.tools.declarations import Terms
from bridge.tools.hand_over import hand_over
from bridge.tools.registry import Tools
from bridge.tools.tool import CallContext
from tests.stage.booking import NOW, office


# ---- what is declared

def declared(**terms: bool) -> dict[str, dict[str, Any]]:
    functions = (declarations.schedule_meeting, declarations.reschedule_meeting, declarations.cancel_meeting,
                 declarations.list_meetings, declarations.check_availability)
    return {each.__name__: each(Terms(**terms)).named(each.__name__) for each in functions}


def arguments_of(function: dict[str, Any]) -> set[str]:
    return {*function["parameters"]["properties"]}


async def test_each_function_for_meetings_is_declared(tmp_path: Path) -> None:
    async with office(tmp_path) as world:
        functions = world.functions().declarations(CallContext(NOW))
    assert [each["name"] for each in functions] == [*declared()] == [
        "schedule_meeting", "reschedule_meeting", "cancel_meeting", "list_meetings", "check_availability"]


def test_where_one_step_is_enough_nothing_speaks_of_two() -> None:
    two, one = json.dumps([*declared().values()]), json.dumps([*declared(confirm=False).values()])
    assert "confirmation_id" in two and "two steps" in two
    for words in ("two steps", "first call", "again", "read back", "has agreed"):
        assert words not in one, words


def test_an_address_is_required_where_the_owner_says_so() -> None:
    optional, required = declared()["schedule_meeting"], declared(email_required=True)["schedule_meeting"]
    assert optional["parameters"]["required"] == ["name", "datetime"]
    assert required["parameters"]["required"] == ["name", "email", "datetime"]
    assert "email" in arguments_of(optional)


def test_a_phone_number_is_an_argument_only_where_it_is_not_known() -> None:
    assert "phone_number" not in arguments_of(declared()["schedule_meeting"])
    hidden = declared(number_hidden=True)["schedule_meeting"]
    assert "phone_number" in arguments_of(hidden) and "phone_number" not in hidden["parameters"]["required"]


# ---- a transfer

def transfer(*names: str) -> dict[str, Any]:
    return next(each for each in offered(names) if each["name"] == "transfer_call")


def offered(targets: Collection[str]) -> list[dict[str, Any]]:
    return Tools(hand_over(targets)).for_call().declarations(CallContext(NOW))


def test_a_transfer_is_declared_where_there_is_somebody_to_put_callers_through_to() -> None:
    assert [each["name"] for each in offered([])] == ["end_call"]
    assert [each["name"] for each in offered({"human": "+15551234567"})] == ["transfer_call", "end_call"]


def test_whom_to_transfer_to_is_asked_only_where_there_is_a_choice() -> None:
    alone, several = transfer("human")["parameters"], transfer("sales", "front desk")["parameters"]
    assert ({*alone["properties"]}, alone["required"]) == ({"reason"}, ["reason"])
    assert several["properties"]["to"]["enum"] == ["sales", "front desk"]
    assert several["required"] == ["to", "reason"]
