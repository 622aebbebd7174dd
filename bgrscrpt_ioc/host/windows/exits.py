"""Describes how a process has ended, in the words of EXITREASON."""

from __future__ import annotations

import signal

# Exit code of the processes that the IOC kills. No other program uses this code.
KILLED = 0xE0424B4C
CONTROL_C_EXIT = 0xC000013A  # Python's exit code after an uncaught KeyboardInterrupt
_NAMES = {  # NTSTATUS values ([MS-ERREF] 2.3.1) with which processes end
    0x40000015: "FATAL_APP_EXIT",
    0x40010004: "TERMINATE_PROCESS",  # the session has ended
    0x80000003: "BREAKPOINT",
    0x80000004: "SINGLE_STEP",
    0xC0000005: "ACCESS_VIOLATION",
    0xC0000006: "IN_PAGE_ERROR",
    0xC0000008: "INVALID_HANDLE",
    0xC0000017: "NO_MEMORY",
    0xC000001D: "ILLEGAL_INSTRUCTION",
    0xC0000025: "NONCONTINUABLE_EXCEPTION",
    0xC000008C: "ARRAY_BOUNDS_EXCEEDED",
    0xC000008E: "FLOAT_DIVIDE_BY_ZERO",
    0xC0000094: "INTEGER_DIVIDE_BY_ZERO",
    0xC0000095: "INTEGER_OVERFLOW",
    0xC0000096: "PRIVILEGED_INSTRUCTION",
    0xC00000FD: "STACK_OVERFLOW",
    0xC000012D: "COMMITMENT_LIMIT",
    0xC0000135: "DLL_NOT_FOUND",
    0xC0000138: "ORDINAL_NOT_FOUND",
    0xC0000139: "ENTRYPOINT_NOT_FOUND",
    0xC0000142: "DLL_INIT_FAILED",
    0xC0000194: "POSSIBLE_DEADLOCK",
    0xC0000374: "HEAP_CORRUPTION",
    0xC0000409: "STACK_BUFFER_OVERRUN",  # also for abort() of a newer C runtime
    0xC0000417: "INVALID_CRUNTIME_PARAMETER",
    0xC0000420: "ASSERTION_FAILURE",
    0xE06D7363: "C++ exception",
}


def describe_exit(status: int) -> tuple[int, str]:
    """Return EXITCODE and EXITREASON for an exit code of Windows.

    Examples: `(3, "exit 3")`, and `(-1073741819, "ACCESS_VIOLATION")` with the signed code. As on
    other systems, an interrupted process has `(-2, "SIGINT")`, and a process that the IOC has
    killed has `(-9, "SIGKILL")`.
    """
    status &= 0xFFFFFFFF
    if status == KILLED:
        return -9, "SIGKILL"
    if status == CONTROL_C_EXIT:
        return -signal.SIGINT, "SIGINT"
    signed = status - (1 << 32) if status & 0x80000000 else status
    if status in _NAMES:
        return signed, _NAMES[status]
    return signed, f"exit {signed}" if signed >= 0 else f"exit 0x{status:08X}"
