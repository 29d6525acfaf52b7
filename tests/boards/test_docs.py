"""docs/boards.md is what its script writes."""

import json

from benchmarks.bitstreams import DATA, PAGE, page
from systolic.spec.boards import all_boards


def test_the_page_is_what_its_script_writes() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(json.loads(DATA.read_text()))


def test_the_page_has_all_boards() -> None:
    text = page({})
    for board in all_boards():
        assert f"| `{board.name}` |" in text
        assert f"**{board.title}**" in text


def test_a_board_that_could_not_be_built_says_why() -> None:
    assert "Not built: it does not fit." in page({"icestick": {"failed": "it does not fit"}})
