"""What a browser sends when a picture of a widget is clicked."""

from elsface_lite.course.widgets.live import Picture


def click(picture: Picture, **asked: int) -> None:
    """With `pick`, or with `row` and `column`."""
    picture._handle_custom_msg(asked, [])
