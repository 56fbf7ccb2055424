"""The errors a user can cure, each with its own sentence; never used for faults of our own."""


class Refused(Exception):
    """The input or the machine does not allow it. Shown as `error: …`, exit code 2."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint
