"""How a caller can be reached: by an e-mail address, by the number of the call, or by one that was said."""

from dataclasses import replace
from pathlib import Path

import pytest

from bridge.tools.meetings import meetings
from bridge.tools.registry import Tools
from tests.stage.booking import CALL, HIDDEN, WANTED, listed, office, run, schedule, turn


async def test_a_caller_without_an_address_books_by_the_number(tmp_path: Path) -> None:
    async with office(tmp_path, confirm=True) as world:
        functions = world.functions()
        wanted = {name: value for name, value in WANTED.items() if name != "email"}
        proposed = await run(functions, "schedule_meeting", **wanted)
        assert "e-mail" not in proposed["next"] and "the moment" in proposed["next"]
        booked = await run(functions, "schedule_meeting", turn(2), confirmation_id=proposed["confirmation_id"])
        assert booked["status"] == "confirmed"
        [body] = world.bodies
        assert (body["email"], body["phone_number"], body["number_hidden"]) == ("", CALL.phone_number, False)


@pytest.mark.parametrize("email", ["", "none@none.com", "n/a", "test@test.com"])
async def test_what_stands_in_the_place_of_an_address_reaches_nobody(tmp_path: Path, email: str) -> None:
    async with office(tmp_path) as world:
        assert (await schedule(world.functions(), email=email))["status"] == "confirmed"
        hidden = await schedule(world.functions(), HIDDEN, email=email, datetime="Friday at 15:00")
        assert hidden["status"] == "refused" and "one of the two" in hidden["message"]
        world.diary = replace(world.diary, email_required=True)
        required = await schedule(Tools(meetings(world.diary)).for_call(), email=email, datetime="Friday at 15:00")
        assert required["status"] == "refused" and "e-mail address is missing" in required["message"]
        assert [body["email"] for body in world.bodies] == [""]


async def test_one_who_hides_the_number_books_with_a_number_that_is_read_back(tmp_path: Path) -> None:
    async with office(tmp_path, confirm=True) as world:
        functions = world.functions()
        wanted = {"email": "", "phone_number": "+49 30 901820"}
        proposed = await schedule(functions, HIDDEN, **wanted)
        assert "the phone number" in proposed["next"]
        again = {"confirmation_id": proposed["confirmation_id"]}
        booked = await schedule(functions, replace(HIDDEN, turn=2), **wanted, **again)
        assert booked["status"] == "confirmed"
        [body] = world.bodies
        assert (body["email"], body["phone_number"], body["number_hidden"]) == ("", "+4930901820", True)


async def test_a_number_that_was_only_said_opens_nobody_s_meetings(tmp_path: Path) -> None:
    """Neither are the number's own meetings shown to who says it, nor is the hidden one's shown to the number."""
    async with office(tmp_path) as world:
        booked = await schedule(world.functions())
        said = {"email": "", "phone_number": CALL.phone_number}
        hidden = replace(HIDDEN, call_sid="CA" + "2" * 32)
        functions = world.functions()
        theirs = await schedule(functions, hidden, datetime="Friday at 15:00", **said)
        assert theirs["status"] == "confirmed"
        assert await listed(functions, hidden) == [theirs["meeting_id"]]
        assert await listed(world.functions(), CALL) == [booked["meeting_id"]]
        refused = await run(functions, "cancel_meeting", hidden, meeting_id=booked["meeting_id"])
        assert refused["status"] == "refused"


async def test_a_number_that_was_said_can_be_corrected(tmp_path: Path) -> None:
    async with office(tmp_path) as world:
        functions = world.functions()
        booked = await schedule(functions, HIDDEN, email="", phone_number="+4930901820")
        corrected = await schedule(functions, HIDDEN, phone_number="+49 30 901821")
        assert corrected["meeting_id"] == booked["meeting_id"]
        assert "the phone number is +4930901821" in corrected["message"]
        assert [(body["type"], body["phone_number"]) for body in world.bodies] == [
            ("meeting.booked", "+4930901820"), ("meeting.updated", "+4930901821")]


async def test_the_number_of_the_call_is_not_replaced_by_what_is_said(tmp_path: Path) -> None:
    async with office(tmp_path) as world:
        await schedule(world.functions(), phone_number="+4930901820")
        assert world.bodies[0]["phone_number"] == CALL.phone_number
