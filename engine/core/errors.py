"""The one tree of errors. Every error a user can meet says what is wrong, what was expected and what to do next.

The facts of an error (ids, codes) are attributes as well as text. Nothing here ever holds a message body, an
address or SQL, so an error can be logged as it is.
"""

from __future__ import annotations

from collections.abc import Iterable

from engine.core.problems import Problem


class CampaignError(Exception):
    """The root: anything this engine raises on purpose. `hint` is the next step to take."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class SpecError(CampaignError):
    """A campaign type file that cannot be used; `problems` lists every finding, sorted by place."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(problems))
        super().__init__("\n".join(str(problem) for problem in self.problems))


class DecisionError(CampaignError):
    """A conversation that cannot be decided, for example one that stands in a stage its type does not have."""


class RepositoryError(CampaignError):
    """The database refused or could not be reached; `retryable` when the same work may well succeed later."""

    def __init__(self, message: str, *, hint: str = "", sqlstate: str = "", retryable: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.sqlstate = sqlstate
        self.retryable = retryable


class UnknownError(RepositoryError):
    """A campaign, type, stage, recipient or conversation that does not exist."""


class RefusedError(CampaignError):
    """A request that makes no sense as things stand, for example resuming a campaign that was cancelled."""


class ChannelError(CampaignError):
    """A channel did not take a message. `retryable` tells a passing failure from a permanent one."""

    def __init__(self, message: str, *, retryable: bool, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.retryable = retryable
