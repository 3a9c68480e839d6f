"""The exceptions: one tree, and sentences built in one place."""

import inspect

import pytest

from detox_bench import errors
from detox_bench.errors import DetoxBenchError, UnknownName, missing_extra, unknown_name

CHILDREN = [
    each
    for _, each in inspect.getmembers(errors, inspect.isclass)
    if each.__module__ == errors.__name__ and each is not DetoxBenchError
]


@pytest.mark.parametrize("child", CHILDREN)
def test_every_exception_is_a_child_of_the_base_and_stands_in_the_tree(child):
    assert issubclass(child, DetoxBenchError)
    assert child.__name__ in (errors.__doc__ or "")


def test_an_unknown_name_is_answered_with_the_nearest_and_all_known_ones():
    error = unknown_name("operator", "scael", ["set", "scale", "add"])
    assert isinstance(error, UnknownName)
    assert str(error) == ("Unknown operator 'scael'. Did you mean 'scale'? Known: add, scale, set.")


def test_a_name_like_no_other_gets_no_suggestion():
    assert str(unknown_name("scorer", "xyz", ["ngram"])) == "Unknown scorer 'xyz'. Known: ngram."


def test_capital_letters_do_not_hide_the_nearest_name():
    assert "Did you mean 'zh-Hans'?" in str(unknown_name("language", "ZH-HANZ", ["zh-Hans", "ar"]))


def test_a_missing_extra_names_the_install_line():
    assert str(missing_extra("Scorer 'detoxify'", "detoxify")) == (
        "Scorer 'detoxify' needs: pip install 'detox-bench[detoxify]'."
    )


def test_a_long_table_is_not_listed_where_a_name_is_suggested():
    known = [f"argument_{n}" for n in range(100)]
    assert str(unknown_name("argument", "argument_1x", known)).endswith("?")
    assert "argument_99" in str(unknown_name("argument", "zzz", known))


def test_of_a_table_too_long_to_be_read_the_nearest_three_are_suggested_and_none_is_listed():
    known = [f"arc_{code}" for code in ("de", "fr", "hi", "ru")]
    near = str(unknown_name("task", "arc_rr", known, "Ask for a family."))
    assert near.startswith("Unknown task 'arc_rr'. Did you mean 'arc_ru'") and " or 'arc_" in near
    assert near.endswith("'? Ask for a family.") and near.count("'arc_") == 1 + 3
    far = str(unknown_name("task", "nosuch", known, "Ask for a family."))
    assert far == "Unknown task 'nosuch'. Ask for a family."
