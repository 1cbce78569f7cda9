# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The errors of the collection. PRIVATE to the collection.

Every message begins with the path of the faulty value and names the constraint and the fix, so ``str(error)`` is the
complete text for the user.
"""

from __future__ import annotations

from typing import Callable, Iterable, TypeVar

Result = TypeVar("Result")


class EgressIPError(Exception):
    """An error that the user can correct. Any other exception is a bug."""


class ManifestError(EgressIPError):
    """A manifest cannot be found or used."""


class InventoryError(EgressIPError):
    """A host or a host variable cannot be used."""


class PlanError(EgressIPError):
    """A plan cannot be made, or a newer one has been applied already."""


class NodeStateError(EgressIPError):
    """A node's desired state is malformed."""


class CommandError(EgressIPError):
    """A command on a node failed."""


class NoAnswerError(CommandError):
    """A command on a node did not end in its time."""


class VerificationError(EgressIPError):
    """The state that was read back from a node differs from the state that was applied."""


class ConflictError(EgressIPError):
    """An address, mark or table number that the collection needs is in use by other software."""


class InvalidError(EgressIPError):
    """A document has one or more errors, all found in one pass.

    ``errors`` is a tuple of messages, each beginning with its path.
    """

    def __init__(self, errors: Iterable[object]) -> None:
        self.errors = tuple(str(error) for error in errors)
        super().__init__("; ".join(self.errors))


class Errors:
    """Collects the errors of a document, so that the validation continues to its end."""

    def __init__(self) -> None:
        self._errors: list[str] = []

    def add(self, path: str, text: str) -> None:
        """Add an error: the ``path`` of the value and the ``text`` with constraint and fix."""
        self._errors.append(f"{path}: {text}")

    def attempt(self, function: Callable[..., Result], *arguments: object) -> Result | None:
        """Return ``function(*arguments)``; when it raises an EgressIPError, add its errors and return None."""
        try:
            return function(*arguments)
        except InvalidError as error:
            self._errors.extend(error.errors)
        except EgressIPError as error:
            self._errors.append(str(error))
        return None

    @property
    def found(self) -> tuple[str, ...]:
        """All errors added so far."""
        return tuple(self._errors)

    def raise_if_any(self) -> None:
        """Raise one InvalidError with all errors added so far, if there are any."""
        if self._errors:
            raise InvalidError(self._errors)
