"""What texts of people may hold where they are shown in a line."""


def is_one_line(text: str) -> bool:
    """Whether it can be shown on pages and terminals as it is: no line breaks, no marks that turn what follows.

    Japanese separates names by a space of its own, which counts as the plain one does.
    """
    return text.replace("\u3000", " ").isprintable()


def plain(text: str) -> str:
    """Letters and digits alone, whatever their case: what two spellings of one name or id have in common."""
    return "".join(letter for letter in text.casefold() if letter.isalnum())
