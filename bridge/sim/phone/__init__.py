"""A strict telephone: the caller, and Twilio's part of the call, for tests and demonstrations.

It asks a voice webhook what to do, obeys the TwiML, and speaks Media Streams. It writes and checks
Twilio's messages itself and knows nothing of the server's own code, so that a mistake there cannot
agree with itself here. What Twilio would put in its debugger is kept in `PhoneCall.warnings`; where
Twilio could not go on with the call at all, PhoneError says why.

How one call walks:

    dial -> webhook -> TwiML, verb after verb -> <Connect><Stream> -> the websocket -> the next verb

While the stream is open, every 20 ms of call time (see clock.py) one frame of 160 bytes goes out,
silent or not, and 160 bytes of the queued audio are played. A mark comes back when what was queued
before it has been played, and also when `clear` drops that audio.

A stream ends by the server's close or a dropped line (the following verbs run: the caller is still
there), by the caller's hanging up or REST (they do not), or by new TwiML from REST (which runs).

Not played: Twilio's overflow warning 31930, the time that <Say>, <Play> and ringing take, DTMF tones as sound.

https://www.twilio.com/docs/voice/media-streams/websocket-messages
https://www.twilio.com/docs/voice/twiml/stream
"""

from bridge.sim.phone.call import PhoneCall
from bridge.sim.phone.event import Event, PhoneError
from bridge.sim.phone.phone import Phone
from bridge.sim.phone.recorder import Recording
from bridge.sim.phone.stream import FRAME_BYTES

__all__ = ["FRAME_BYTES", "Event", "Phone", "PhoneCall", "PhoneError", "Recording"]
