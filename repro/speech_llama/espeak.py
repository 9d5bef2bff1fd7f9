"""eSpeak NG through its C library, in a process of its own: python repro/speech_llama/espeak.py < jobs > sound.

The library keeps oscillator phases and random state from one utterance to the next and has no way to begin anew that
works in all versions, so what it says depends on what it said before. A fresh process that is given a fixed list says
it the same every time, and takes no one else down if the library fails. Imports nothing beyond the standard library.

stdin, JSON: {"library", "data", "jobs": [[voice, text, words a minute, pitch 0-99], …]}
stdout: a line of JSON {"version", "rate", "samples": [of each job]}, then all samples as 16-bit integers
"""

from __future__ import annotations

import array
import ctypes
import json
import sys
from typing import Any

# of espeak-ng/speak_lib.h
_SYNCHRONOUS, _DONT_EXIT, _UTF8, _CHARACTER = 2, 0x8000, 1, 1
_RATE, _PITCH = 1, 3
_MS_OF_BUFFER = 0  # the library's own choice
_HEARD = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


def speak(library: str, data: str | None, jobs: list[list[Any]]) -> tuple[str, int, list[array.array[int]]]:
    """The library's version, its rate in Hz, and the samples of each job."""
    lib = ctypes.CDLL(library)
    lib.espeak_Info.restype = ctypes.c_char_p
    lib.espeak_Synth.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint, ctypes.c_int, ctypes.c_uint,
                                 ctypes.c_uint, ctypes.c_void_p, ctypes.c_void_p]  # fmt: skip
    rate = lib.espeak_Initialize(_SYNCHRONOUS, _MS_OF_BUFFER, data.encode() if data else None, _DONT_EXIT)
    if rate <= 0:
        raise ValueError(f"{library} finds no voices{f' in {data}' if data else ''}")
    found: list[array.array[int]] = []

    def heard(samples: Any, n: int, _: Any) -> int:
        if samples and n > 0:
            found[-1].frombytes(ctypes.string_at(samples, 2 * n))
        return 0

    callback = _HEARD(heard)  # kept alive by its name: the library holds no reference
    lib.espeak_SetSynthCallback(callback)
    for voice, text, words_per_minute, pitch in jobs:
        if lib.espeak_SetVoiceByName(voice.encode()):
            raise ValueError(f"there is no voice {voice}")
        lib.espeak_SetParameter(_RATE, words_per_minute, 0)
        lib.espeak_SetParameter(_PITCH, pitch, 0)
        found.append(array.array("h"))
        said = text.encode()
        if lib.espeak_Synth(said, len(said) + 1, 0, _CHARACTER, 0, _UTF8, None, None):
            raise ValueError(f"nothing came of {text!r} by {voice}")
    return lib.espeak_Info(None).decode(), rate, found


def main() -> None:
    asked = json.load(sys.stdin)
    try:
        version, rate, found = speak(asked["library"], asked["data"], asked["jobs"])
    except (OSError, ValueError) as error:
        sys.exit(f"eSpeak NG: {error}")
    head = json.dumps({"version": version, "rate": rate, "samples": [len(one) for one in found]})
    sys.stdout.buffer.write(head.encode() + b"\n" + b"".join(one.tobytes() for one in found))


if __name__ == "__main__":
    main()
