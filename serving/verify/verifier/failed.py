"""What every check raises."""


class Failed(Exception):
    """A check that does not hold; the message is one line that says what is wrong and where to look."""
