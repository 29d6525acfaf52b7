"""What an importer says of a model, shortened to lines."""

from mapping.importers.remarks import remarks


def test_equal_texts_share_a_line_that_names_the_first_places() -> None:
    said = [("a", "Conv 1"), ("b", "Add 2"), *(("a", f"Conv {i}") for i in range(3, 8))]
    assert remarks(said) == ("a (Conv 1, Conv 3, Conv 4, Conv 5 and 2 more)", "b (Add 2)")
    assert remarks([]) == ()
