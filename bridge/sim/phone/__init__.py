"""A strict telephone: the caller, and Twilio's part of the call, for tests and demonstrations.

It asks a voice webhook what to do, obeys the TwiML, and speaks Media Streams. It writes and checks Twilio's messages
itself and imports none of the server's code, so a mistake there cannot agree with itself here. `PhoneCall.warnings`
keeps what Twilio would put in its debugger. PhoneError says why Twilio could not go on with a call.

The course of a call:

    dial -> webhook -> TwiML, verb after verb -> <Connect><Stream> -> the websocket -> the next verb

While the stream is open, one frame of 160 bytes goes out every 20 ms of call time (clock.py), silent or not, and 160
bytes of the queued audio are played. A mark comes back when the audio before it has been played, and also when `clear`
drops that audio.

A stream ends in one of three ways. After the server's close or a dropped line the next verbs run, because the caller is
still there. After the caller's hanging up, or REST's `completed`, they do not. New TwiML from REST runs in their place.

Not simulated: Twilio's overflow warning 31930, the time that <Say>, <Play> and ringing take, DTMF tones as sound.

https://www.twilio.com/docs/voice/media-streams/websocket-messages
https://www.twilio.com/docs/voice/twiml/stream
"""

from bridge.sim.phone.call import PhoneCall
from bridge.sim.phone.event import Event, PhoneError
from bridge.sim.phone.phone import Phone
from bridge.sim.phone.recorder import Recording
from bridge.sim.phone.stream import FRAME_BYTES

__all__ = ["FRAME_BYTES", "Event", "Phone", "PhoneCall", "PhoneError", "Recording"]
