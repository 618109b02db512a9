"""What can go wrong with the harness itself, as far as somebody can do something about it.

HarnessError
├── PlanError       an option that cannot be used
└── ChildError      a process of the run that did not start, did not answer, or ended
"""

from __future__ import annotations


class HarnessError(Exception):
    """Any of the below; the message says what to do."""


class PlanError(HarnessError):
    """An option that cannot be used."""


class ChildError(HarnessError):
    """A process of the run did not start, did not answer in time, or ended; its log is named."""
