"""Strings of others in Markdown: they stay text, and what does not act is left readable."""

import random
from html import escape

import pytest
from markdown_it import MarkdownIt

from detox_bench.reports.markdown_text import escaped

#: Letters and pieces of which Markdown can be made.
PIECES = [
    *"\\`*_[]()|~<>&#$@:+-=.!1 ab2x/",
    *("  ", "&amp;", "<b>", "](", "[x]", "http://", "__", "**", "~~", "1.", "# ", "- ", "---"),
    *("www.", "[a]: b", "a_b", "![", "```"),
]
#: Where a string of others stands: in the Markdown, and in the HTML of it.
PLACES = {
    "paragraph": ("{0}", "<p>{0}</p>"),
    "sentence": ("Of {0} and {0}.", "<p>Of {0} and {0}.</p>"),
    "list": ("- {0}", "<ul>\n<li>{0}</li>\n</ul>"),
    "heading": ("# {0}", "<h1>{0}</h1>"),
    "quote": (
        "> **Mind.** {0}",
        "<blockquote>\n<p><strong>Mind.</strong> {0}</p>\n</blockquote>",
    ),
    "table": (
        "| **{0}** |\n| --- |\n| {0} |",
        "<table>\n<thead>\n<tr>\n<th><strong>{0}</strong></th>\n</tr>\n</thead>\n"
        "<tbody>\n<tr>\n<td>{0}</td>\n</tr>\n</tbody>\n</table>",
    ),
}


def rendered(text: str) -> str:
    parser = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    return parser.render(text).replace("&quot;", '"').rstrip("\n")


@pytest.mark.parametrize("place", list(PLACES))
def test_no_string_acts_wherever_it_stands(place):
    markdown, html = PLACES[place]
    chance = random.Random(place)
    for _ in range(500):
        made = "".join(chance.choices(PIECES, k=chance.randint(1, 12)))
        if text := " ".join(made.split()):
            shown = html.format(escape(text, quote=False))
            assert rendered(markdown.format(escaped(made))) == shown, text


def test_what_means_something_in_markdown_or_html_is_escaped():
    assert escaped("a|b `c` <d> *e*\n@f") == r"a\|b \`c\` &lt;d> \*e\* &#64;f"


def test_what_github_makes_links_formulas_and_emoji_of_stays_text():
    text = "#12 $x$ :smile: https://a.org www.a.org EMT: 0 a@b.org"
    assert escaped(text) == (
        r"&#35;12 &#36;x&#36; &#58;smile: https&#58;//a.org www\.a.org EMT: 0 a&#64;b.org"
    )
    assert rendered(escaped(text)) == f"<p>{text}</p>"


@pytest.mark.parametrize(
    "text",
    [
        "ngram@1#a1b2c3d4e5f6, toxic from 0.5",
        "prompts:rtplx, language:de, k:25, T:0.9",
        "2026-01-01T10:20:30+00:00",
        "average_toxicity, p < 0.05 & more: 2 * 3 > 5",
        "-0.012 [-0.020, +0.010]",
        "detox-bench 0.1.0 (hf:org/model) – 24 prompts.",
    ],
)
def test_what_does_not_act_stays_readable(text):
    assert escaped(text) == text
