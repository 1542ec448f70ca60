"""Whatever bytes come, what reads them answers as it says, and nothing else happens."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.fuzz import SEEDS, TARGETS

ROOT = Path(__file__).parent.parent
SECONDS = 60

_KEYS = ("event", "type", "media", "payload", "start", "callSid", "delta", "item_id", "response", "usage", "error",
         "name", "email", "datetime", "mark", "to", "message")
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.sampled_from(
        ("media", "mark", "start", "response.done", "error", "response.output_audio.delta", "//79")),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(_KEYS), inner, max_size=5),
    max_leaves=15)


def _bytes(name: str) -> st.SearchStrategy[bytes]:
    """Anything, some JSON, and what is nearly right."""
    kinds = [st.binary(max_size=300), st.text(max_size=200).map(lambda text: text.encode(errors="surrogatepass")),
             _JSON.map(lambda value: repr(value).replace("'", '"').encode(errors="surrogatepass"))]
    if seeds := SEEDS.get(name):
        kinds.append(st.tuples(st.sampled_from(seeds), st.integers(0, 400), st.binary(max_size=3)).map(
            lambda cut: cut[0][:cut[1]] + cut[2] + cut[0][cut[1] + 1:]))
    return st.one_of(kinds)


@pytest.mark.parametrize("name", TARGETS)
def test_any_bytes_are_answered(name: str) -> None:
    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(_bytes(name))
    @example(b"")
    @example(b"\x00")
    @example(b"[" * 3000)
    @example(b'{"a":' * 3000)
    @example(b"\xff" * 10)
    def answered(data: bytes) -> None:
        TARGETS[name](data)
    answered()


@pytest.mark.parametrize("name", SEEDS)
def test_what_is_right_is_read(name: str) -> None:
    for seed in SEEDS[name]:
        TARGETS[name](seed)


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="atheris cannot be installed here")
def test_a_fuzzer_that_learns_finds_nothing(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", "--seconds", str(SECONDS)], cwd=ROOT, capture_output=True, text=True,
        timeout=SECONDS * 4)
    assert done.returncode == 0, done.stdout
    assert done.stdout.count(" ok\n") == len(TARGETS)
