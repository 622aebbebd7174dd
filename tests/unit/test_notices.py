"""Notices: which events cause one, and which command a site sets for each."""

from __future__ import annotations

import json
from pathlib import Path, PurePosixPath, PureWindowsPath

import pytest

from bgrscrpt_ioc.cli import notices as cli
from bgrscrpt_ioc.config.errors import ConfigError
from bgrscrpt_ioc.config.load import load
from bgrscrpt_ioc.config.paths import command
from bgrscrpt_ioc.host.contract import COOKIE
from bgrscrpt_ioc.notify import webhook
from bgrscrpt_ioc.script.notices import COMMANDS, Notice, event_of
from bgrscrpt_ioc.script.story import How, Hung, RunBegan, RunEnded, WellAgain

NOTICE = Notice(
    "failure", "BGRSCRPT_01", "TE:", "ndw1", "/s.py", "2026-11-28T23:10:05+00:00", "exit 1", "E"
)


def test_events() -> None:
    """A failure, the last failure, a missed heartbeat and a recovery cause notices, no more."""
    ended = RunEnded(1, How.FAILED, "exit 1", "exit 1; starts again in 1 s")
    assert event_of(ended) == ("failure", "exit 1; starts again in 1 s")
    assert event_of(RunEnded(1, How.FAILED, "x", "x; gave up", final=True))[0] == "gave_up"
    assert event_of(Hung(1, "no heartbeat")) == ("hung", "no heartbeat")
    assert event_of(WellAgain(1, "it runs"))[0] == "recovery"
    assert event_of(RunBegan(1, "a@h", 0)) == event_of(RunEnded(1, How.STOPPED, "x")) == ("", "")


def test_what_a_command_is_given() -> None:
    """The notice is one line; the environment has the same facts, and no cookie of a run."""
    notice = Notice("gave_up", "X", "TE:", reason="exit 1", more={"failure": 4}, error="\x1b[2J")
    text = "TE:X has failed and stays down: exit 1 (not told before: failure 4)"
    given = json.loads(notice.json())
    assert (given["text"], given["more"]) == (text, {"failure": 4})
    environ = notice.environ()
    assert (environ["BGRSCRPT_TEXT"], environ["BGRSCRPT_MORE"]) == (text, "4")
    assert environ["BGRSCRPT_ERROR"] == "\\x1b[2J"
    assert COOKIE not in environ
    long = Notice("failure", "X", reason="ü" * 10**6, error="\0" * 10**6)
    assert len(long.json()) < 1 << 16
    assert not any("\0" in value for value in long.environ().values())


def test_each_way_has_its_json() -> None:
    """Slack, Teams and Mattermost get the text in their own JSON."""
    given = {"text": "a <b> & c"}
    made = {kind: json.dumps(make(given)) for kind, make in webhook.FORMATS.items()}
    assert tuple(made) == cli.FORMATS
    assert json.loads(made["slack"]) == {"text": "a &lt;b&gt; &amp; c"}
    assert json.loads(made["mattermost"])["text"] == "a <b> & c"
    card = json.loads(made["teams"])["attachments"][0]
    assert card["contentType"] == "application/vnd.microsoft.card.adaptive"
    assert card["content"]["body"][0]["text"] == "a <b> & c"


CONFIG = """
prefix = "TE:"
[defaults]
script = "s.py"
env = { A = "1", B = "1" }
[defaults.notify]
on_failure = "bgrscrpt-ioc notify mail --to 'a b@c' --to $(WHOM)"
on_hung = ["tell", "hung"]
[instance.X]
env = { B = "2" }
notify = { on_hung = "./tell.sh", on_recovery = ["tell", "it's well"] }
[instance.Y]
"""


def test_settings(tmp_path: Path) -> None:
    """A command is a list, or a text that is split as a shell does.

    Tables are merged key by key.
    """
    config = tmp_path / "ioc.toml"
    config.write_text(CONFIG)
    one, other = load(config, None, None, {}, {"WHOM": "d@e", "HOME": "/"}).instances
    mail = ("bgrscrpt-ioc", "notify", "mail", "--to", "a b@c", "--to", "d@e")
    assert one.notify == {
        "on_failure": mail,
        "on_hung": (str(tmp_path / "tell.sh"),),
        "on_recovery": ("tell", "it's well"),
    }
    assert other.notify == {"on_failure": mail, "on_hung": ("tell", "hung")}
    assert (one.env, other.env) == ({"A": "1", "B": "2"}, {"A": "1", "B": "1"})
    assert {key for keys in COMMANDS.values() for key in keys} == {
        "on_failure", "on_gave_up", "on_hung", "on_recovery"
    }  # fmt: skip


def test_commands_of_windows() -> None:
    r"""On Windows a command may have paths with \, UNC names too; elsewhere a \ escapes."""
    base = PureWindowsPath("D:/settings")
    for program, found in {
        r"C:\tools\tell.exe": r"C:\tools\tell.exe",
        r"\\server\tools\tell.exe": r"\\server\tools\tell.exe",
        r"tools\tell.bat": r"D:\settings\tools\tell.bat",
        r"'C:\my tools\tell.exe'": r"C:\my tools\tell.exe",
        "tell": "tell",
    }.items():
        written = rf"{program} --to 'a b' \\server\list"
        assert command(written, base) == [found, "--to", "a b", r"\\server\list"]
    assert command([r"tools\tell.bat"], base) == [r"D:\settings\tools\tell.bat"]
    assert command(r"tell a\ b", PurePosixPath("/settings")) == ["tell", "a b"]


@pytest.mark.parametrize(
    ("written", "says"),
    [
        ('on_fail = "x"', "should be 'on_failure'"),
        ('on_failure = ""', "is empty"),
        ("on_failure = []", "is empty"),
        ('on_failure = "a \'b"', "cannot be split into words: No closing quotation"),
        ("on_failure = 5", "should be a"),
    ],
)
def test_mistakes(tmp_path: Path, written: str, says: str) -> None:
    """Each mistake is reported with its key."""
    config = tmp_path / "ioc.toml"
    config.write_text(f'[instance.X]\nscript = "s.py"\n[instance.X.notify]\n{written}\n')
    with pytest.raises(ConfigError, match=says) as caught:
        load(config, None, None, {}, {"HOME": "/"})
    assert "[instance.X] notify" in str(caught.value)
