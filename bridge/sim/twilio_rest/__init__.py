"""Twilio's REST API on this machine: strict, and with faults.

    async with TwilioRest(account_sid, auth_token) as rest:
        rest.phones.append(phone)       # set TWILIO_API_URL to rest.url: `phone`'s calls can now be updated
        rest.numbers.add("+15550001111", voice_url="https://...")

It stands for https://api.twilio.com, and for https://monitor.twilio.com too. It carries out what it accepts: on the
`PhoneCall`s of its phones, on its numbers, and on calls that it makes itself. It refuses what Twilio refuses or
ignores: an unknown parameter is a mistake here. What goes wrong is a `RestFaults`.

One object is one of Twilio's regions. Each region has tokens of its own, and refuses those of another.
Sources: https://www.twilio.com/docs/voice/api/call-resource ,
https://www.twilio.com/docs/phone-numbers/api/incomingphonenumber-resource ,
https://www.twilio.com/docs/usage/monitor-alert , https://www.twilio.com/docs/iam/api/account
"""

from bridge.sim.twilio_rest.alerts import Alert
from bridge.sim.twilio_rest.numbers import Number
from bridge.sim.twilio_rest.server import Asked, RestFaults, TwilioRest

__all__ = ["Alert", "Asked", "Number", "RestFaults", "TwilioRest"]
