#!/bin/sh
# Makes every clip of this folder, and those that the server itself plays, with espeak-ng and sox:
# raw mu-law, 8000 Hz, one channel, no header, trimmed so that speech starts and ends at the edges.
set -eu
cd "$(dirname "$0")"

speak() {  # voice, words per minute, file, text
    wave=$(mktemp)
    espeak-ng -v "$1" -s "$2" --stdout "$4" > "$wave"
    # The dips below 1 % that count as silence are only looked for at both ends.
    # R: the same dither every time, so that the files do not change without a reason.
    sox -R -t wav "$wave" -t raw -r 8000 -c 1 -e mu-law -b 8 "$3" \
        gain -6 rate 8000 highpass 200 silence 1 0.01 1% reverse silence 1 0.01 1% reverse pad 0.02 0.02 norm -1
    rm "$wave"
}

assistant() { speak en-gb+f3 160 "$1.ulaw" "$2"; }
caller() { speak en-us+m3 165 "$1.ulaw" "$2"; }

assistant greeting "Hello, this is Bridge Dental. How can I help you?"
assistant hours "We are open Monday to Friday from nine to five, and on Saturdays from ten to one. \
On public holidays we are closed, but there is always an emergency line you can reach at any hour of the day"
assistant ask_details "Of course. What is your name, your e-mail address, \
and which day and time would suit you?"
assistant read_back "That is next Thursday at ten in the morning, and your e-mail address is \
A D A at example dot com. Shall I book it?"
assistant booked "Your meeting is booked for next Thursday at ten in the morning. Is there anything else?"
assistant writing "I am writing it down, one second."
assistant noted "I have written that down, and you will get a confirmation. Is there anything else?"
assistant goodbye "Thank you for calling. Goodbye!"

# What the server says by itself: bridge/call/clips.py
assistant ../../call/clips/moment "One moment, please."
assistant ../../call/clips/still_here "I am still here. Just a moment, please."
assistant ../../call/clips/goodbye "I am sorry, I have to end this call now. Please call again. Goodbye."

caller ask_hours "Hi, what are your opening hours?"
caller interrupt "Sorry, I would just like to book a meeting, please."
caller details "My name is Ada Lovelace, A D A at example dot com, and next Thursday at ten in the morning."
caller thanks "No, that is all. Thank you, bye!"
caller hello "Hello?"
caller yes "Yes, please."
