import re
from io import BytesIO

import pytest
from babel.messages.catalog import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import read_mo
from babel.messages.pofile import read_po

from app.web.assets import FOLDER

KEYWORDS = {"_": None, "_l": None, "ngettext": (1, 2)}
METHODS = [("**.py", "python"), ("templates/**.html", "jinja2")]
LANGUAGES = ("ja",)


def texts_in_the_code() -> set[str]:
    found = extract_from_dir(str(FOLDER), method_map=METHODS, keywords=KEYWORDS)  # type: ignore[arg-type]
    return {message if isinstance(message, str) else message[0] for _file, _line, message, *_rest in found}


def catalogue(language: str) -> Catalog:
    return read_po(BytesIO((FOLDER / "translations" / language / "LC_MESSAGES" / "messages.po").read_bytes()))


def key(message: Message) -> str:
    return message.id if isinstance(message.id, str) else message.id[0]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_text_is_translated_and_no_translation_is_left_over(language: str) -> None:
    translated = {key(message) for message in catalogue(language) if message.id and all(_strings(message))}
    assert translated == texts_in_the_code()


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_translation_uses_the_values_of_its_text_and_no_others(language: str) -> None:
    for message in catalogue(language):
        expected = set(re.findall(r"%\((\w+)\)s|(%%)", " ".join([key(message)])))
        for text in _strings(message):
            assert set(re.findall(r"%\((\w+)\)s|(%%)", text)) == expected, message.id


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_compiled_catalogue_is_that_of_the_source(language: str) -> None:
    path = FOLDER / "translations" / language / "LC_MESSAGES" / "messages.mo"
    compiled = {key(message): _strings(message) for message in read_mo(BytesIO(path.read_bytes())) if message.id}
    assert compiled == {key(message): _strings(message) for message in catalogue(language) if message.id}


def _strings(message: Message) -> tuple[str, ...]:
    return (message.string,) if isinstance(message.string, str) else tuple(message.string)
