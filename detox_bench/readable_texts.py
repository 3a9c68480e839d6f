"""Texts that can be written and tokenized: half characters in them are U+FFFD."""


def readable(text: str) -> str:
    """Return a text with U+FFFD for its half characters (lone surrogates), which UTF-8 lacks.

    JSON may hold them, and names of files that are not UTF-8 become them.
    """
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
