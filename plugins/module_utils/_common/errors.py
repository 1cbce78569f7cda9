# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The errors of the collection. PRIVATE to the collection.

Every message begins with the path of the value it is about and names the constraint, so
``str(error)`` is all that a person needs to read.
"""

from __future__ import annotations


class EgressIPError(Exception):
    """Something that the user can put right. Anything else that is raised is a bug."""


class ManifestError(EgressIPError):
    """A manifest cannot be found or used."""


class InventoryError(EgressIPError):
    """A host or a host variable cannot be used."""


class PlanError(EgressIPError):
    """A plan cannot be made, or is not the one to apply."""


class NodeStateError(EgressIPError):
    """A node's desired state is malformed."""


class CommandError(EgressIPError):
    """A command on a node failed."""


class VerificationError(EgressIPError):
    """A node does not show what was applied to it."""


class ConflictError(EgressIPError):
    """Somebody else uses what we would use: an address, a mark, a table number."""


class VsphereError(EgressIPError):
    """vCenter cannot or will not do what is asked."""


class VsphereInterruptedError(VsphereError):
    """An answer is lost, or somebody else was faster: read again, then decide again."""


class InvalidError(EgressIPError):
    """A document with one or more errors, all of them found in one go.

    ``errors`` is a tuple of messages, each beginning with its path.
    """

    def __init__(self, errors):
        self.errors = tuple(str(error) for error in errors)
        super().__init__("; ".join(self.errors))


class Errors:
    """Collects the errors of a document, so that the check goes on to its end."""

    def __init__(self):
        self._errors = []

    def add(self, path, text):
        """Note that the value at ``path`` is wrong; ``text`` says how."""
        self._errors.append(f"{path}: {text}")

    def attempt(self, function, *arguments):
        """Return ``function(*arguments)``; None, and the errors are noted, when it raises an EgressIPError."""
        try:
            return function(*arguments)
        except InvalidError as error:
            self._errors.extend(error.errors)
        except EgressIPError as error:
            self._errors.append(str(error))
        return None

    def raise_if_any(self):
        """Raise one InvalidError with everything noted so far."""
        if self._errors:
            raise InvalidError(self._errors)
