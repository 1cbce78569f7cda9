# Copyright (c) 2026 The netops.egress_ip authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A session with a vCenter: TLS, errors, properties and tasks. PRIVATE to the collection. No policy."""

from __future__ import annotations

import contextlib
import itertools
import re
import ssl
import time
from collections.abc import Iterator
from http.client import HTTPException
from typing import Any, Callable, Dict, Iterable, Mapping, Sequence
from xml.parsers.expat import ExpatError

from .._common.messages import quote
from .errors import VsphereError, VsphereInterruptedError
from .pyvmomi import Disconnect, SoapStubAdapter, vim, vmodl

_FIRST_API = (7, 0)
# Everything that is used exists since that version, and newer ones support it.
_VERSION = "vim.version.v7_0"
_PAGE = 500
# Pauses between two polls, and between two attempts; the last one is repeated.
POLL_SECONDS = (0.05, 0.1, 0.2, 0.5, 1)
_ESCAPED = re.compile("%(25|2f|5c)", re.IGNORECASE)
# What pyvmomi raises for a value that it does not know, such as a newer name of an enumeration.
_UNKNOWN_VALUE = (AttributeError, LookupError, TypeError, ValueError)


class UnparsedError(VsphereError):
    """pyvmomi cannot parse a value in a response."""


class Session:
    """A session with a vCenter. It logs in at its first use, and again after the session was lost.

    ``parameters``: {option: value} of `argument_spec.CONNECTION`.
    """

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        self._parameters = parameters
        self._instance: Any = None
        self._content: Any = None
        # Instances whose connection was lost; their sessions may still exist in the vCenter.
        self._lost: list[Any] = []

    @property
    def timeout(self) -> int:
        """Maximum duration of a request or a task, in seconds."""
        return int(self._parameters["timeout"])

    def close(self) -> None:
        """Log out, also of sessions whose connection was lost if the vCenter has answered since."""
        if self._instance is not None:
            Disconnect(self._instance)
            for instance in self._lost:
                with contextlib.suppress(vmodl.MethodFault, OSError, HTTPException, ExpatError):
                    instance.RetrieveContent().sessionManager.Logout()
            self._instance = self._content = None

    @contextlib.contextmanager
    def translated(self, what: str | None = None) -> Iterator[None]:
        """Raise the errors of pyvmomi as VsphereError; ``what`` names the object of faults that do not name one."""
        where = f"{self._parameters['hostname']}:{self._parameters['port']}"
        try:
            yield
        except vim.fault.NotAuthenticated as fault:  # before its base class NoPermission
            self._instance = None
            raise VsphereInterruptedError(f"{where}: {_words(fault)}") from None
        except vim.fault.TaskInProgress as fault:
            # It may be an own task whose response was lost.
            with self.translated():
                self._end_of(what or where, fault.task)
            raise VsphereInterruptedError(f"{what or where}: {_words(fault)}") from None
        except (vim.fault.ConcurrentAccess, vim.fault.InvalidPowerState) as fault:
            raise VsphereInterruptedError(f"{what or where}: {_words(fault)}") from None
        except vmodl.fault.ManagedObjectNotFound as fault:
            # It was removed since it was listed.
            thing = what or (fault.obj._GetMoId() if fault.obj else where)
            raise VsphereInterruptedError(f"{thing}: {_words(fault)}") from None
        except vim.fault.NoPermission as fault:
            thing = self.name(fault.object) if fault.object else what or where
            lacking = f"the privilege {fault.privilegeId}" if fault.privilegeId else "a privilege"
            raise VsphereError(f"{thing}: {self._parameters['username']} lacks {lacking}") from None
        except vim.fault.InvalidLogin:
            user = quote(self._parameters["username"])
            raise VsphereError(f"username: {user} and its password are rejected by {where}") from None
        except ssl.SSLCertVerificationError as error:
            reason = error.verify_message
            raise VsphereError(f"hostname: the certificate of {where} is not trusted: {reason}") from None
        except (OSError, HTTPException, ExpatError) as error:
            temporary = self._instance is not None or isinstance(error, ConnectionResetError)
            self._lost += [self._instance] if self._instance is not None else []
            self._instance = None
            kind = VsphereInterruptedError if temporary else VsphereError
            raise kind(f"hostname: {where} does not answer: {error or type(error).__name__}") from None
        except vmodl.MethodFault as fault:
            raise VsphereError(f"{what or where}: {_words(fault)}") from None

    @property
    def content(self) -> Any:
        """ServiceContent of the vCenter, requested once per login; the first use logs in."""
        if self._instance is None:
            options = self._parameters
            # Not SmartConnect of pyVim: it requests the versions without a timeout.
            stub = SoapStubAdapter(
                options["hostname"],
                options["port"],
                version=_VERSION,
                path="/sdk",
                # Explicit: by default, pyvmomi does not verify the host localhost.
                sslContext=_tls(options["validate_certs"]),
                httpConnectionTimeout=options["timeout"],
                httpProxyHost=options["proxy_host"],
                httpProxyPort=options["proxy_port"],
            )
            stub.InvokeMethod = _parsing(stub.InvokeMethod)
            instance = vim.ServiceInstance("ServiceInstance", stub)
            content = instance.RetrieveContent()
            version = tuple(int(part) for part in content.about.apiVersion.split(".")[:2])
            if content.about.apiType != "VirtualCenter" or version < _FIRST_API:
                raise VsphereError(f"hostname: must be a vCenter with API 7.0 or newer, not {content.about.fullName}")
            content.sessionManager.Login(options["username"], options["password"], None)
            self._instance, self._content = instance, content
        return self._content

    def name(self, thing: Any) -> str:
        """Return the name of an inventory object; its ID if the user may not read the name."""
        try:
            (name,) = self.names([thing])
        except (vmodl.MethodFault, OSError, HTTPException, ValueError, UnparsedError):
            return str(thing._GetMoId())
        return name

    def names(self, objects: Iterable[Any]) -> tuple[str, ...]:
        """Return the names of inventory objects, sorted; the ID where the user may not read the name."""
        found = self.properties(list(objects), ("name",))
        return tuple(sorted(plain_name(about.get("name")) or each._GetMoId() for each, about in found.items()))

    def properties(self, objects: Sequence[Any], paths: Iterable[str]) -> dict[Any, Properties]:
        """Return {object: Properties} for any number of objects of one type, in one request per 500 objects.

        A value that pyvmomi cannot parse is missing from its object alone; more requests are necessary then.
        """
        if not objects:
            return {}
        collect, wanted = vmodl.query.PropertyCollector, list(paths)
        try:
            return self._retrieve(
                [collect.ObjectSpec(obj=each) for each in objects],
                collect.PropertySpec(type=type(objects[0]), pathSet=wanted),
            )
        except UnparsedError as error:
            middle = len(objects) // 2
            if middle:
                return {**self.properties(objects[:middle], wanted), **self.properties(objects[middle:], wanted)}
            return {objects[0]: self._path_by_path(objects[0], wanted, error)}

    def _path_by_path(self, thing: Any, paths: Sequence[str], error: UnparsedError) -> Properties:
        """Return the Properties of an object with a value that cannot be parsed; ``error``: about all ``paths``."""
        if len(paths) == 1:
            return Properties(unparsed={paths[0]: UnparsedError(f"{thing._GetMoId()}: {paths[0]}: {error}")})
        parts = [self.properties([thing], [path])[thing] for path in paths]
        return Properties.merged(parts)

    def all_properties(self, kind: Any, paths: Iterable[str]) -> dict[Any, Properties]:
        """Return {object: Properties} for every object of a type in the inventory."""
        collect = vmodl.query.PropertyCollector
        view = self.content.viewManager.CreateContainerView(self.content.rootFolder, [kind], True)
        try:
            walk = collect.TraversalSpec(name="view", path="view", skip=False, type=vim.view.ContainerView)
            spec = collect.PropertySpec(type=kind, pathSet=list(paths))
            try:
                return self._retrieve([collect.ObjectSpec(obj=view, skip=True, selectSet=[walk])], spec)
            except UnparsedError:
                return self.properties(view.view, spec.pathSet)
        finally:
            view.Destroy()

    def _retrieve(self, object_specs: Sequence[Any], property_spec: Any) -> dict[Any, Properties]:
        collector, collect = self.content.propertyCollector, vmodl.query.PropertyCollector
        spec = collect.FilterSpec(objectSet=object_specs, propSet=[property_spec])
        page = collector.RetrievePropertiesEx([spec], collect.RetrieveOptions(maxObjects=_PAGE))
        found = {}
        while page:
            for each in page.objects:
                found[each.obj] = Properties.of(each)
            page = collector.ContinueRetrievePropertiesEx(page.token) if page.token else None
        return found

    def run(self, what: str, start: Callable[..., Any], *arguments: Any) -> None:
        """Start the task of an object with the name ``what``, and wait until it ends.

        Raises VsphereError if it fails or exceeds the timeout.
        """
        with self.translated(what):
            task = start(*arguments)
        info = self._end_of(what, task)
        if info.state == vim.TaskInfo.State.error:
            with self.translated(what):
                raise info.error or vmodl.MethodFault(
                    msg="the task failed without an error message; check the task in vCenter"
                )

    def _end_of(self, what: str, task: Any) -> Any:
        """Return the TaskInfo of a task after its end. Raises VsphereError if it exceeds the timeout."""
        give_up = time.monotonic() + self.timeout
        pauses = itertools.chain(POLL_SECONDS, itertools.repeat(POLL_SECONDS[-1]))
        info = self.properties([task], ("info",))[task]["info"]
        while info.state not in (vim.TaskInfo.State.success, vim.TaskInfo.State.error):
            if time.monotonic() > give_up:
                words = f"{info.key} has not ended within {self.timeout} seconds; check the task in vCenter"
                raise VsphereError(f"{what}: {words}")
            time.sleep(next(pauses))
            info = self.properties([task], ("info",))[task]["info"]
        return info


class Properties(Dict[str, Any]):
    """{path: value} of an object.

    An unset value is None. A value that the user may not read raises the fault, one that pyvmomi cannot parse an
    UnparsedError; `get` returns None for them.
    """

    def __init__(
        self,
        values: Mapping[str, Any] | None = None,
        faults: Iterable[Any] = (),
        unparsed: Mapping[str, UnparsedError] | None = None,
    ) -> None:
        super().__init__(values or {})
        self._faults = list(faults)
        self._unparsed = dict(unparsed or {})

    @classmethod
    def of(cls, content: Any) -> Properties:
        """Return the Properties in an ObjectContent. Raises the fault NotAuthenticated."""
        faults = [missing.fault for missing in content.missingSet]
        for fault in faults:
            if isinstance(fault, vim.fault.NotAuthenticated):
                raise fault
        return cls({prop.name: prop.val for prop in content.propSet}, faults)

    @classmethod
    def merged(cls, parts: Sequence[Properties]) -> Properties:
        """Return the Properties of an object that were read in parts."""
        values = {path: value for part in parts for path, value in part.items()}
        unparsed = {path: error for part in parts for path, error in part._unparsed.items()}
        return cls(values, [fault for part in parts for fault in part._faults], unparsed)

    def __missing__(self, path: str) -> Any:
        if path in self._unparsed:
            raise self._unparsed[path]
        if self._faults:
            raise self._faults[0]
        return None


def plain_name(name: str | None) -> str:
    """Return a name as users know it: the API escapes three characters."""
    return _ESCAPED.sub(lambda found: chr(int(found.group(1), 16)), name or "")


def _parsing(invoke: Callable[..., Any]) -> Callable[..., Any]:
    """Return `InvokeMethod` of a stub with an UnparsedError for a response that pyvmomi cannot parse."""

    def invoke_and_parse(*arguments: Any) -> Any:
        try:
            return invoke(*arguments)
        except (OSError, HTTPException):  # some are ValueErrors too
            raise
        except _UNKNOWN_VALUE as error:
            words = f"{type(error).__name__}: {error}"
            raise UnparsedError(f"has a value that pyvmomi cannot parse ({words}); use a newer pyvmomi") from None

    return invoke_and_parse


def _tls(validate: bool) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if not validate:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _words(fault: Any) -> str:
    """Return the message of a fault of the API, on one line."""
    name = type(fault).__name__.rpartition(".")[2]
    # What the ESXi host reports, and for several hosts the fault of each.
    details = [each.message for each in getattr(fault, "faultMessage", None) or ()]
    details += [_words(each.fault) for each in getattr(fault, "hostFault", None) or () if each.fault]
    texts = [fault.msg if fault.msg != name else None, *details]
    causes = "; ".join(" ".join(text.split()) for text in texts if text)
    return f"{name}: {causes}" if causes else name
