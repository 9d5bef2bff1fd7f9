"""Sound from files: mono float32 in [-1, 1], and at the rate that the features want.

wav needs nothing beyond scipy; flac, ogg, opus, mp3 and NIST sphere need the library soundfile. Shapes: N samples.
"""

from __future__ import annotations

import io
import warnings
from fractions import Fraction
from pathlib import Path

import numpy as np

RATE = 16_000  # Hz, of everything that is heard here
NEEDS_SOUNDFILE = "pip install soundfile"
_RAW_RATE = 16_000  # of headerless files, which say nothing


def read(path: Path) -> tuple[np.ndarray, int]:
    """A file's sound (N,), channels averaged, and its rate in Hz; a ValueError in one line where there is none."""
    if not path.is_file():
        raise ValueError(f"{path} is not there; unpack the archive again or take its line out of the transcripts")
    try:
        if path.suffix == ".raw":
            return _checked(_raw(path.read_bytes()), _RAW_RATE, str(path))
        return decode(path.read_bytes(), str(path))
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror or error}") from None


def decode(data: bytes, name: str) -> tuple[np.ndarray, int]:
    """The same from a file's bytes."""
    found = _wav(data) if data[:4] == b"RIFF" else None
    return _checked(*(found or _by_soundfile(data, name)), name)


def resample(wave: np.ndarray, rate: int, to: int = RATE) -> np.ndarray:
    """`wave` (N,) at another rate, by scipy's polyphase filter: (ceil(N * to / rate),)."""
    if rate == to:
        return wave
    from scipy.signal import resample_poly

    ratio = Fraction(to, rate)
    return np.asarray(resample_poly(wave, ratio.numerator, ratio.denominator), np.float32)


def load(path: Path) -> np.ndarray:
    """A file's sound (N,) at RATE."""
    return resample(*read(path))


def _wav(data: bytes) -> tuple[np.ndarray, int] | None:
    """Plain PCM and floats; None for kinds that scipy does not know (mu-law, ADPCM)."""
    from scipy.io import wavfile

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", wavfile.WavFileWarning)  # chunks of editors, with dates and names
            rate, wave = wavfile.read(io.BytesIO(data))
    except Exception:  # scipy raises what its parser stumbles on, struct errors among them
        return None
    if wave.dtype == np.uint8:
        return (wave.astype(np.float32) - 128) / 128, rate
    if wave.dtype.kind == "i":  # 24 bits come as the upper ones of 32
        return (wave / -float(np.iinfo(wave.dtype).min)).astype(np.float32), rate
    return wave.astype(np.float32), rate


def _by_soundfile(data: bytes, name: str) -> tuple[np.ndarray, int]:
    try:
        import soundfile
    except ImportError:
        raise ValueError(f"{name}: only plain wav is read without the library soundfile: {NEEDS_SOUNDFILE}") from None
    try:
        wave, rate = soundfile.read(io.BytesIO(data), dtype="float32")
    except (soundfile.SoundFileError, TypeError, ValueError) as error:
        reason = getattr(error, "error_string", "") or str(error)
        raise ValueError(f"{name} cannot be read as sound: {reason} Fetch it again") from None
    return wave, int(rate)


def _raw(data: bytes) -> np.ndarray:
    """Headerless 16-bit samples in whichever byte order makes the smoother sound: AN4 is published in both, under the
    same names. Speech moves little from one sample to the next, and its swapped bytes are noise."""
    if len(data) % 2:
        data = data[:-1]
    orders = [np.frombuffer(data, order).astype(np.float32) for order in ("<i2", ">i2")]
    return min(orders, key=lambda wave: float(np.abs(np.diff(wave)).sum())) / 32768


def _checked(wave: np.ndarray, rate: int, name: str) -> tuple[np.ndarray, int]:
    if wave.ndim == 2:
        wave = wave.mean(1)
    if not len(wave):
        raise ValueError(f"{name} holds no sound; fetch it again")
    if not np.isfinite(wave).all():
        raise ValueError(f"{name} holds samples that are no numbers; fetch it again")
    return np.ascontiguousarray(wave, np.float32), rate
