"""The machine and this process: Python, settings, ports, the account that runs Postgres."""

from __future__ import annotations

import json.scanner
import os
import socket
import sys
from collections.abc import Mapping

import psutil

from myi_pipeline.operations import sql_access
from myi_pipeline.operations.dagster_home import remarks_on_instance
from myi_pipeline.operations.doctor.check import Check, Status, from_found
from myi_pipeline.postgres.embedded import accounts, binaries
from myi_pipeline.settings import PREFIX, Settings, machine_time_zone, unknown_variables

OLDEST_PYTHON, NEWEST_PYTHON = (3, 11), (3, 13)


def python() -> Check:
    found = ".".join(map(str, sys.version_info[:3]))
    if OLDEST_PYTHON <= sys.version_info[:2] <= NEWEST_PYTHON:
        return Check("Python", Status.OK, found)
    oldest, newest = (".".join(map(str, version)) for version in (OLDEST_PYTHON, NEWEST_PYTHON))
    return Check("Python", Status.FAIL, found, f"install MYI with a Python from {oldest} to {newest}")


def variables(environ: Mapping[str, str] | None) -> Check:
    unknown = unknown_variables(environ)
    if not unknown:
        return Check("settings", Status.OK, f"no unknown {PREFIX} variable")
    names = ", ".join(name for name, _ in unknown)
    meant = [f"{closest} instead of {name}" for name, closest in unknown if closest]
    mend = f"perhaps {', '.join(meant)}" if meant else "unset unknown variables"
    return Check("settings", Status.WARN, f"without effect: {names}", mend)


def instance_file(settings: Settings) -> Check:
    remarks = list(remarks_on_instance(settings))
    if remarks:
        mend = "compare it with dagster.yaml of the installed myi_pipeline, which follows these settings"
        return Check("dagster.yaml", Status.WARN, "; ".join(remarks), mend)
    if settings.dagster_yaml is None:
        return Check("dagster.yaml", Status.OK, "MYI's own")
    return Check("dagster.yaml", Status.OK, str(settings.dagster_yaml))


def time_zone(settings: Settings) -> Check:
    if settings.time_zone is not None:
        return Check("time zone", Status.OK, f"{settings.time_zone} for new users")
    found = machine_time_zone()
    if found in ("UTC", "Etc/UTC"):
        return Check("time zone", Status.OK, f"{found} for new users, the machine's; MYI_TIME_ZONE overrides it")
    return Check("time zone", Status.OK, f"{found} for new users, the machine's")


def json_parser() -> Check:
    if getattr(json.scanner, "c_make_scanner", None) is not None:
        return Check("JSON parser", Status.OK, "the C scanner of Python's json module")
    mend = "install a complete CPython: without the C part of its json module no archive can be read"
    return Check("JSON parser", Status.FAIL, "Python's json module lacks its C part", mend)


def port(settings: Settings) -> Check:
    port = settings.dagster_port
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except PermissionError:
            return Check("Dagster's port", Status.FAIL, f"{port} may not be used", "set MYI_DAGSTER_PORT above 1023")
        except OSError:
            pass
        else:
            return Check("Dagster's port", Status.OK, f"{port} is free")
    holder = _listener(port)
    if holder is not None and "dagster" in " ".join(holder.cmdline()):
        return Check("Dagster's port", Status.OK, f"{port} is in use by Dagster (process {holder.pid})")
    by = f" by {holder.name()} (process {holder.pid})" if holder else ""
    return Check("Dagster's port", Status.WARN, f"{port} is in use{by}", "end that, or set MYI_DAGSTER_PORT to another")


def _listener(port: int) -> psutil.Process | None:
    try:
        for connection in psutil.net_connections("tcp"):
            if connection.status == psutil.CONN_LISTEN and connection.laddr[1:2] == (port,) and connection.pid:
                return psutil.Process(connection.pid)
    except psutil.Error:
        pass
    return None


def embedded() -> Check:
    found = binaries.find_binaries()
    if os.geteuid() != 0:
        return Check("Postgres", Status.OK, f"{found.major}, embedded")
    account = accounts.existing_account()
    if account is not None and account.name == accounts.ACCOUNT:
        return Check("Postgres", Status.OK, f"{found.major}, embedded, as the account {account.name}")
    if accounts.can_make_account():
        return Check("Postgres", Status.OK, f"{found.major}, embedded; the account {accounts.ACCOUNT} is made for it")
    mend = "install useradd (Debian: apt-get install passwd), so that Postgres gets an account of its own"
    if account is not None:
        return Check("Postgres", Status.WARN, f"{found.major}, embedded, as the shared account {account.name}", mend)
    return Check(
        "Postgres", Status.FAIL, "Postgres refuses to run as root, and there is no other account to run it", mend
    )


def sql_port(settings: Settings) -> Check:
    return from_found("SQL port", sql_access.check_sql_port(settings), unless=Status.WARN)
