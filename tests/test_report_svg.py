"""Inline figures: marks stand where the numbers say, and strings are escaped."""

import math

import pytest
from lxml import etree

from detox_bench.reports.svg import Arrow, Axis, Bar, arrows, element, forest, ticks
from detox_bench.statistics import Interval

NOTHING = Interval(math.nan, math.nan, math.nan)


def test_ticks_are_round_and_inside():
    assert ticks(0, 10) == [0, 2, 4, 6, 8, 10]
    assert ticks(-0.17, 0.01, 4) == pytest.approx([-0.15, -0.1, -0.05, 0])
    assert ticks(0.1, 0.9, 4) == pytest.approx([0.2, 0.4, 0.6, 0.8])


def test_an_axis_maps_its_ends_to_its_pixels():
    axis = Axis(-1, 3, 100, 200)
    assert [axis.place(value) for value in (-1, 1, 3)] == [100, 150, 200]


def test_attributes_and_children_are_escaped_and_named_as_in_svg():
    made = element("text", "<b>", class_="a", text_anchor='"', x=1.25)
    assert made == '<text class="a" text-anchor="&#34;" x="1.2">&lt;b&gt;</text>'


def _marks(figure, tag):
    root = etree.fromstring(str(figure))
    return root, [each for each in root.iter(tag) if each.get("class") == "mark"]


def test_a_forest_has_a_mark_a_row_left_of_zero_where_it_is_lower():
    rows = [Bar("<de>", Interval(-0.2, -0.3, -0.1), "clean"), Bar("fr", Interval(0.1, 0, 0.2), "x")]
    figure = forest(
        [*rows, Bar("ko", NOTHING, "x")], [Bar("mean", rows[0].interval, "x")], "T", "a"
    )
    root, circles = _marks(figure, "circle")
    zero = next(float(each.get("x1")) for each in root.iter("line") if each.get("class") == "zero")
    below, above = (float(each.get("cx")) for each in circles)
    # Equal steps right of and left of zero: -0.2 lies twice as far off as 0.1.
    assert zero - below == pytest.approx(2 * (above - zero), abs=0.3)
    assert len(_marks(figure, "path")[1]) == 1
    assert "ko: no number" in root.findtext("desc")
    assert "<de>: −0.200 (−0.300 to −0.100)" in root.findtext("desc")


def test_an_arrow_points_to_what_came_after():
    figure = arrows([Arrow("de", (0.4, 20), (0.2, 30), "clean")], ("x", "y"), "T", "a")
    root, heads = _marks(figure, "polygon")
    line = next(each for each in root.iter("line") if each.get("class") == "interval")
    tip = [float(number) for number in heads[0].get("points").split()[0].split(",")]
    assert tip == [float(line.get("x2")), float(line.get("y2"))]
    assert float(line.get("x2")) < float(line.get("x1"))
    assert float(line.get("y2")) < float(line.get("y1")), "more is further up"


def test_figures_of_nothing_and_of_zeros_can_be_drawn():
    zero = Interval(0.0, 0.0, 0.0)
    for figure in (
        forest([], [], "T", "a"),
        forest([Bar("de", zero, "x")], [], "T", "a"),
        arrows([Arrow("de", (0, 0), (0, 0), "x")], ("x", "y"), "T", "a"),
    ):
        assert etree.fromstring(str(figure)).findtext("title") == "T"
