"""The page of figures: a bench writes its own section, and no other's is lost."""

from tests.bench.page import HEAD, with_section

ORDER = ("receiver", "clones", "relay")


def test_a_new_section_takes_its_place_among_the_others() -> None:
    page = with_section("", "relay", "## Relay\n\n| fast |", order=ORDER)
    page = with_section(page, "receiver", "## Receiver\n\nslow\n", order=ORDER)
    page = with_section(page, "clones", "## Clones\n", order=ORDER)
    expected = (
        f"{HEAD}\n<!-- bench: receiver -->\n## Receiver\n\nslow\n\n<!-- bench: clones -->\n## Clones\n"
        "\n<!-- bench: relay -->\n## Relay\n\n| fast |\n"
    )
    assert expected == page


def test_a_section_is_replaced_and_the_others_stay_as_they_are() -> None:
    page = with_section("", "receiver", "## Receiver\n\nslow", order=ORDER)
    page = with_section(page, "clones", "## Clones\n\nfew", order=ORDER)
    again = with_section(page, "receiver", "## Receiver\n\nfast", order=ORDER)
    assert page.replace("slow", "fast") == again


def test_the_section_of_a_bench_that_is_no_more_goes() -> None:
    page = with_section("", "gone", "## Gone", order=(*ORDER, "gone"))
    page = with_section(page, "clones", "## Clones", order=ORDER)
    assert f"{HEAD}\n<!-- bench: clones -->\n## Clones\n" == page
