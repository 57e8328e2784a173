"""The line of a step's log that says what went wrong.

A log holds what the launcher of KFP says, what its executor says, and between them what the step
said: an error of ours is one line at the end of a stack trace.
"""

from __future__ import annotations

import re

_LAUNCHER = re.compile(r"[IWEF]\d{4} \d\d:\d\d:\d\d\.\d+\s+\d+ [\w.-]+:\d+\] ?(.*)")
_EXECUTOR = re.compile(r"\[KFP Executor .*\]: ?")
_RAISED = re.compile(r"([A-Za-z_][\w.]*)(?:: (.*))?")
_PLAIN = frozenset(
    {
        "ValueError",
        "OSError",
        "FileNotFoundError",
        "FileExistsError",
        "NotADirectoryError",
        "IsADirectoryError",
        "PermissionError",
        "ConnectionError",
        "TimeoutError",
        "RuntimeError",
    }
)
"""What we raise ourselves, with a message for people: its class would say nothing more."""
_SIGNALS = {9: "killed, mostly because the memory limit was reached", 15: "stopped by SIGTERM"}
TRACEBACK = "Traceback (most recent call last):"


def reason(log: str) -> str | None:
    """Why the step failed, in one line; None if its log does not say."""
    lines = [line.rstrip("\r") for line in log.splitlines()]
    own = [line for line in lines if not _LAUNCHER.match(line) and not _EXECUTOR.match(line)]
    raised = _raised(own)
    if raised is not None and not raised.endswith("see above"):
        return raised
    command = [line for line in own if re.match(r"omnidet [a-z-]+: \S", line)]
    if command:  # of one of several processes, whose launcher only counts exit codes
        return " ".join(command[-1].split())
    return raised or _of_launcher(lines)


def last_line(log: str) -> str:
    """The last line that the step itself said."""
    said = [
        line.strip()
        for line in log.splitlines()
        if line.strip() and not _LAUNCHER.match(line) and not _EXECUTOR.match(line)
    ]
    return " ".join(said[-1].split()) if said else ""


def _raised(lines: list[str]) -> str | None:
    """The message at the end of the last stack trace."""
    starts = [number for number, line in enumerate(lines) if line == TRACEBACK]
    if not starts:
        return None
    for line in lines[starts[-1] + 1 :]:
        match = _RAISED.fullmatch(line.rstrip())
        if match and (match[2] is not None or "." in line or line[:1].isupper()):
            name, message = match[1].rpartition(".")[2], match[2]
            if not message:
                return name
            is_ours = name in _PLAIN or match[1].startswith(("omnidet.", "components."))
            return " ".join((message if is_ours else f"{name}: {message}").split())
    return None


def _of_launcher(lines: list[str]) -> str | None:
    """What the launcher says about a process that said nothing itself, or about its own trouble."""
    said = [match[1] for line in lines if (match := _LAUNCHER.match(line)) and line[0] in "EF"]
    if not said:
        return None
    text = " ".join(said[-1].split())
    number = re.search(r"exit status (\d+)$", text)
    if "signal: killed" in text or (number and int(number[1]) == 137):
        return _SIGNALS[9]
    if "signal: terminated" in text or (number and int(number[1]) == 143):
        return _SIGNALS[15]
    return text
