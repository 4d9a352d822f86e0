"""What client libraries send, read."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import TooLarge
from app.schemas.events import MOST_MESSAGES, Message, Misfit, mend_surrogates, read_batch, read_single


def event_of(message: Message | Misfit) -> str | None:
    assert isinstance(message, Message), message
    return message.event


def test_half_an_emoji_does_not_lose_the_batch() -> None:
    body = rb'{"batch": [{"event": "cut \ud83d"}, {"event": "whole \ud83d\ude00, and text \\ud83d"}]}'
    cut, whole = (event_of(message) for message in read_batch(body).messages)
    assert cut == "cut \ufffd"
    assert whole == "whole \U0001f600, and text \\ud83d"
    assert event_of(read_single("track", rb'{"event": "\udc00"}').messages[0]) == "\ufffd"


@given(st.recursive(st.text() | st.none(), lambda inner: st.dictionaries(st.text(), inner) | st.lists(inner)))
def test_json_without_such_a_half_is_left_as_it_is(value: Any) -> None:
    body = json.dumps(value).encode()
    assert mend_surrogates(body) == body


def test_a_batch_of_more_messages_than_real_ones_would_fit_is_refused_before_they_are_read() -> None:
    assert len(read_batch(b'{"batch": [' + b"0," * (MOST_MESSAGES - 1) + b"0]}").messages) == MOST_MESSAGES
    with pytest.raises(TooLarge, match="10,000 messages"):
        read_batch(b'{"batch": [' + b"0," * MOST_MESSAGES + b"0]}")
