"""Cells that must run so that others can are found: what test_browser.py goes by."""

from needed import names, needed


def test_what_a_cell_needs():
    """The names that it binds and reads, and the cells that follow from them."""
    assert names("b = a + b\nfor c in b: c.d") == ({"b", "c"}, {"a", "b"})
    assert names("%time\ndef f(x): return [g(y) for y in x]") == ({"f"}, {"g", "get_ipython"})
    assert names("@part_of(C)\ndef f(self): return self") == ({"f", "C"}, {"part_of", "C"})
    cells = ["a = 1", "b = 2", "class C: pass", "@part_of(C)\ndef f(self): return a", "a = b = 0", "c = b", "C(c).f()"]
    assert needed(cells, {6}) == [0, 2, 3, 4, 5, 6]
    assert needed(cells, {1}) == [1]
