"""Which channels are in trouble, so that an outage of one does not use up the tries of its messages.

When so many different messages in a row fail with errors that may pass, it is the channel and not the messages: its
circuit opens, in the table `channel_state`, for all workers. No message is leased for it then, and none loses a try.
After a pause one worker leases a few, and the first outcome closes the circuit or opens it for longer. A worker that
dies at that leaves its turn to another after a lease.

A message refused for good shows that the channel answers. One bad message, however often it fails, opens nothing.
"""

from __future__ import annotations

from collections.abc import Hashable
from datetime import datetime

import structlog

from engine.core.errors import ChannelError
from engine.db.channels import ChannelStateRepository
from engine.recovery import Circuit, Policy, reason_of

log = structlog.get_logger(__name__)

POLICY = Policy(threshold=5, first_seconds=15.0, longest_seconds=300.0)
PROBES = 3  # messages leased to try a channel


class ChannelCircuits:
    """What one worker knows of its channels' circuits. The table has the last word."""

    def __init__(self, abandoned_after: float, policy: Policy = POLICY) -> None:
        self.shared: dict[str, Circuit] = {}  # those not closed, as the table last had them
        self.probing: str | None = None
        self._abandoned_after = abandoned_after
        self._policy = policy
        self._failing: dict[str, set[Hashable]] = {}  # the messages that failed since the last that did not
        self._tripped: dict[str, Exception] = {}
        self._probe_error: Exception | None = None
        self._probe_took = False

    @property
    def shut(self) -> list[str]:
        """The channels to lease nothing for."""
        return sorted(self.shared.keys() | self._tripped.keys())

    def is_shut(self, channel: str) -> bool:
        return channel != self.probing and (channel in self.shared or channel in self._tripped)

    def patience(self, channel: str) -> int:
        """How many messages may fail in a row before the rest is spared."""
        return 1 if channel == self.probing else self._policy.threshold

    def learn(self, channel: str, message: Hashable, error: Exception | None) -> None:
        """How handing `message` to the channel went."""
        passing = may_pass(error)
        if channel == self.probing:
            self._probe_took |= not passing
            self._probe_error = error if passing else self._probe_error
        elif not passing:
            self._failing.pop(channel, None)
        else:
            failing = self._failing.setdefault(channel, set())
            failing.add(message)
            if len(failing) >= self._policy.threshold and error is not None and channel not in self.shared:
                self._tripped[channel] = error

    # ---- with the table ----------------------------------------------------------------------------------------

    async def look(self, repository: ChannelStateRepository) -> None:
        """See what the table says."""
        self.shared = await repository.find_troubled()

    def due_probes(self, now: datetime) -> list[str]:
        """The channels whose pause is over, or whose probe nobody has heard of again."""
        return sorted(name for name, it in self.shared.items() if now.timestamp() >= self._probe_at(it))

    def _probe_at(self, circuit: Circuit) -> float:
        pause = self._policy.pause(circuit) if circuit.status == "open" else self._abandoned_after
        return circuit.changed_at + pause

    async def lease_probe(self, repository: ChannelStateRepository, channel: str, now: datetime) -> bool:
        """Whether this worker may try the channel; others may not until it says how that went."""
        was = self.shared[channel]
        return await repository.change_circuit(channel, was, self._policy.probed(was, now.timestamp()))

    def begin_probe(self, channel: str) -> None:
        self.probing, self._probe_error, self._probe_took = channel, None, False

    async def end_probe(self, repository: ChannelStateRepository, began_at: datetime, now: datetime) -> None:
        """Write how the probe went. One that nothing was heard from opens the circuit as it was before."""
        channel = self.probing
        assert channel is not None
        before = self.shared[channel]
        probed = self._policy.probed(before, began_at.timestamp())
        if self._probe_took:
            after = self._policy.succeeded(probed, now.timestamp())
        elif self._probe_error is not None:
            after = self._policy.failed(probed, now.timestamp())
        else:
            after = before._replace(status="open")
        if await repository.change_circuit(channel, probed, after) and after.status == "closed":
            log.info("the channel works again; its messages leave", channel=channel)

    async def save(self, repository: ChannelStateRepository, now: datetime) -> None:
        """Open the circuits that tripped, unless another worker has already."""
        for channel, error in self._tripped.items():
            if await repository.open_circuit(channel, self._opened(now)):
                told = reason_of(error)
                log.error("the channel fails; its messages wait until it works again", channel=channel, **told)

    def saved(self, now: datetime) -> None:
        """What tripped is in the table for good."""
        for channel in self._tripped:
            self._failing.pop(channel, None)
            self.shared[channel] = self._opened(now)
        self._tripped = {}

    @property
    def tripped(self) -> bool:
        """Whether there is anything to save."""
        return bool(self._tripped)

    def _opened(self, now: datetime) -> Circuit:
        return self._policy.failed(Circuit(), now.timestamp(), self._policy.threshold)


def may_pass(error: Exception | None) -> bool:
    """Whether it is a failure that the channel could be to blame for: any that was not said to be for good."""
    return error is not None and not (isinstance(error, ChannelError) and not error.retryable)
