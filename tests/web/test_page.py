"""The web page of a real IOC in real Chromium: live, over restarts, by keyboard, on a telephone."""

from __future__ import annotations

import asyncio
import shutil
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from benchmarks.rig.ca import DEADLINE, Client, ca_environ, free_port
from benchmarks.rig.iocs import COMMAND, Ioc, until
from bgrscrpt_ioc.lifecycle.events import State
from tests.examples.browser import SIZE, Page, browsing

pytestmark = [
    pytest.mark.skipif(shutil.which("chromium") is None, reason="no chromium: run `make system`"),
    pytest.mark.timeout(600),
]
P = "TE:WEB:"
LINK = "[...document.querySelectorAll('.links a')].map(e => `${e.textContent} ${e.href}`).join()"
ABSENCE = 40.0  # s; libca would search again only after 32 s more
RETURN = 15.0  # s; it takes 2 s, on a busy machine more
TOKEN = "a-token-of-the-test"  # noqa: S105
CONFIG = f"""
prefix = "{P}"
[defaults]
backoff = 0.1
[instance.GOOD]
script = "good.py"
links = {{ "the <i>plot</i>" = "http://127.0.0.1:8989/" }}
[instance.BAD]
script = "bad.py"
start_limit = 1
[instance.LONG]
script = "long.py"
[instance.OWN]
script = "own.py"
"""
SCRIPTS = {
    "good.py": """
import time
import bgrscrpt
bgrscrpt.message("averaging <b>Temp_Sample</b>")
bgrscrpt.progress(40)
print("<script>document.title = 'taken over'</script>", flush=True)
print("\\x1b[31mred\\x1b[0m \\x1b]0;title\\x07 bell", flush=True)
while True:
    bgrscrpt.alive()
    time.sleep(0.2)
""",
    "bad.py": 'raise RuntimeError("the magnet <i>does not</i> answer")\n',
    "own.py": """
import time
import bgrscrpt
def take(value):
    if value == 13:
        raise ValueError("unlucky")
level = bgrscrpt.pv("LEVEL", 50.5, unit="%", description="<b>of</b> the tank", alarm_high=50)
mode = bgrscrpt.pv("MODE", "slow", choices=("slow", "fast"), writable=True)
sp = bgrscrpt.pv("SP", 1.0, low=0, high=400, writable=True, on_put=take)
x = bgrscrpt.pv("X", [1, 2, 3], size=5, writable=True)
note = bgrscrpt.pv("NOTE", "hello", writable=True)
while True:
    if sp.wait(60):
        bgrscrpt.pv("LATER", int(sp.value))
""",
    # In pieces that LOG holds, so that the page misses nothing.
    "long.py": """
import time
for at in range(10_000):
    print("line", at, flush=True)
    if at % 200 == 199:
        time.sleep(0.25)
while True:
    time.sleep(1)
""",
}


class Web:
    """`bgrscrpt-ioc web` at a port of its own."""

    def __init__(self, ioc: Ioc, *more: str, port: int | None = None, **environ: str) -> None:
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}/"
        line = [*COMMAND, "web", "--prefix", P, "--port", str(ioc.port), *more]
        self.process = subprocess.Popen(
            [*line, "--http-port", str(self.port)],
            env={**ca_environ(ioc.port), **(environ or {"BGRSCRPT_WEB_TOKEN": TOKEN})},
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            cwd=ioc.directory,
            text=True,
        )
        self.said = ""
        assert self.process.stderr is not None
        while self.url not in self.said:
            line_of_it = self.process.stderr.readline()
            assert line_of_it, self.said
            self.said += line_of_it

    def end(self, by: signal.Signals = signal.SIGTERM) -> int:
        """End the web server; return its exit code."""
        self.process.send_signal(by)
        try:
            _, said = self.process.communicate(timeout=DEADLINE)
        finally:
            self.process.kill()
            self.process.wait()
        assert "Traceback" not in said, said
        return self.process.returncode


@contextmanager
def serving(ioc: Ioc, *more: str, port: int | None = None, **environ: str) -> Iterator[Web]:
    """Start the web page of an IOC."""
    web = Web(ioc, *more, port=port, **environ)
    try:
        yield web
    finally:
        if web.process.poll() is None:
            web.end()


@pytest.fixture
def ioc(tmp_path: Path) -> Iterator[Ioc]:
    """An IOC with a script that runs, one that has failed, and one that prints much."""
    for name, text in SCRIPTS.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "site.toml").write_text(CONFIG)
    with Ioc(tmp_path, "--config", tmp_path / "site.toml") as started:
        yield started.ready()


async def shot_of(page: Page, width: int) -> Any:
    """Lay the page out at a width; return how wide it wants to be."""
    await page.ask("Emulation.setDeviceMetricsOverride", **{**SIZE, "width": width, "height": 700})
    return await page.evaluate("document.documentElement.scrollWidth")


async def press(page: Page, key: str) -> None:
    """Press a key in the page."""
    code = {"Enter": 13, "Tab": 9, "/": 191}[key]
    text = {"Enter": "\r", "/": "/"}.get(key, "")
    common = {"key": key, "windowsVirtualKeyCode": code}
    await page.ask("Input.dispatchKeyEvent", type="keyDown", text=text, **common)
    await page.ask("Input.dispatchKeyEvent", type="keyUp", **common)


def state_of(name: str) -> str:
    """Return JavaScript for the state that the overview shows of an instance."""
    return (
        "[...document.querySelectorAll('.row')]"
        f".find(e => e.children[0].textContent === '{P}{name}')?.children[1].textContent"
    )


async def test_overview(ioc: Ioc, tmp_path: Path) -> None:
    """Failed instances come first; a script's text is never HTML; changes are seen at once."""
    with serving(ioc) as web, Client(ioc.port) as client:
        async with browsing(web.url, tmp_path) as page:
            await page.until(f"{state_of('BAD')} === 'Failed' && {state_of('GOOD')} === 'Running'")
            text = await page.evaluate("document.body.innerText")
            assert text.index(f"{P}BAD") < text.index(f"{P}GOOD")
            assert "the magnet <i>does not</i> answer" in text
            await page.until("document.body.innerText.includes('averaging <b>Temp_Sample</b>')")
            assert await page.evaluate(LINK) == "the <i>plot</i> http://127.0.0.1:8989/"
            client.put(f"{P}GOOD:STOP", 1)
            await page.until(f"{state_of('GOOD')} === 'Stopped'")
            for width in (375, 1100):
                assert await shot_of(page, width) <= width
            await page.evaluate("document.querySelector('#find').value = ''; document.body.focus()")
            await press(page, "/")
            assert await page.evaluate("document.activeElement.id") == "find"
            await page.ask("Input.insertText", text="magnet")
            await page.until("document.querySelectorAll('.row').length === 1")
            await press(page, "Tab")
            await press(page, "Enter")
            await page.until(f"location.pathname.endsWith('BAD') && document.title === '{P}BAD'")
            await page.until("document.body.innerText.includes('RuntimeError: the magnet')")
            assert await shot_of(page, 375) <= 375
        assert web.end() in (0, -signal.SIGTERM)


async def test_log_of_an_instance(ioc: Ioc, tmp_path: Path) -> None:
    """The page shows 10,000 lines in order, without escape sequences, and can search them."""
    with serving(ioc) as web:
        async with browsing(f"{web.url}instances/{P}GOOD", tmp_path) as page:
            await page.until("document.querySelector('#log').innerText.includes('red')")
            text = await page.evaluate("document.querySelector('#log').innerText")
            assert "<script>document.title = 'taken over'</script>" in text
            assert "\x1b" not in text
            assert await page.evaluate("document.title") == f"{P}GOOD"
            assert await page.evaluate("document.querySelector('#commands').hidden")
            await page.until(f"{LINK} === 'the <i>plot</i> http://127.0.0.1:8989/'")
            await page.load(f"{web.url}instances/{P}LONG")
            await page.until("document.querySelector('#log')?.innerText.includes('line 9999')")
            lines = await page.evaluate(
                "[...document.querySelectorAll('#log div')].map(e => e.textContent)"
                ".filter(e => e.startsWith('line '))"
            )
            assert lines == [f"line {at}" for at in range(10_000)][-len(lines) :]
            assert len(lines) > 1900
            await page.evaluate(
                "{const find = document.querySelector('#find'); find.value = 'line 9876';"
                "find.dispatchEvent(new Event('input'))}"
            )
            assert await page.evaluate("document.querySelector('#hits').textContent") == "1 lines"
            assert not await page.evaluate("document.querySelector('#follow').checked")


async def test_commands(ioc: Ioc, tmp_path: Path) -> None:
    """After the login, STOP asks first and then stops; a failed command shows the IOC's reason."""
    with serving(ioc, "--allow-control") as web, Client(ioc.port) as client:
        async with browsing(f"{web.url}instances/{P}GOOD", tmp_path) as page:
            await page.until("!document.querySelector('#commands')?.hidden")
            await page.until("document.querySelector('#state').textContent === 'Running'")
            await page.evaluate("document.querySelector('[data-command=stop]').click()")
            await page.until("document.querySelector('#ask').open")
            await page.ask("Input.insertText", text=TOKEN)
            await press(page, "Enter")
            await page.until(
                "document.querySelector('#ask').open"
                " && document.querySelector('#question').textContent.startsWith('Stop ')"
            )
            assert client.get(f"{P}GOOD:STATUS") == State.RUNNING
            await page.evaluate("document.querySelector('#yes').click()")
            await page.until("document.querySelector('#answer').textContent === 'stop: done'")
            assert client.get(f"{P}GOOD:STATUS") == State.STOPPED
            (tmp_path / "good.py").write_text("this is no Python\n")
            await page.evaluate("document.querySelector('[data-command=restart]').click()")
            await page.until(
                "document.querySelector('#answer.bad')?.textContent.includes('good.py')"
            )


async def test_pvs_of_the_script(ioc: Ioc, tmp_path: Path) -> None:
    """PVs of the script are shown live, also later ones, and can be set after the login."""

    def cell(name: str, at: int) -> str:
        return (
            "[...document.querySelectorAll('#own tr')]"
            f".find(e => e.children[0].textContent === '{name}')?.children[{at}].textContent"
        )

    def put(name: str, value: str) -> str:
        return (
            "{const row = [...document.querySelectorAll('#own tr')]"
            f".find(e => e.children[0].textContent === '{name}');"
            f"row.querySelector('input, select').value = '{value}';"
            "row.querySelector('button').click()}"
        )

    with serving(ioc, "--allow-control") as web:
        async with browsing(f"{web.url}instances/{P}OWN", tmp_path) as page:
            await page.until(f"{cell('LEVEL', 1)} === '50.5 %' && {cell('LEVEL', 2)} === 'MAJOR'")
            assert await page.evaluate(cell("LEVEL", 3)) == "<b>of</b> the tank"
            await page.until(f"{cell('X', 1)} === '1, 2, 3' && {cell('NOTE', 1)} === 'hello'")
            await page.until("document.querySelectorAll('#own form').length === 4")
            await page.evaluate(put("SP", "500"))
            await page.until("document.querySelector('#ask').open")
            await page.ask("Input.insertText", text=TOKEN)
            await press(page, "Enter")
            await page.until(f"{cell('SP', 1)} === '400' && {cell('LATER', 1)} === '400'")
            for name, value, shown in (
                ("MODE", "fast", "fast"), ("X", "4, 5", "4, 5"), ("NOTE", "äöü", "äöü"),
            ):  # fmt: skip
                await page.evaluate(put(name, value))
                await page.until(f"{cell(name, 1)} === '{shown}'")
            await page.evaluate(put("SP", "13"))
            await page.until("document.querySelector('#answer.bad')?.textContent.includes('SP')")
            await page.until(f"{cell('SP', 1)} === '400'")
            assert await shot_of(page, 375) <= 375


async def test_an_ioc_and_a_server_that_go(ioc: Ioc, tmp_path: Path) -> None:
    """Without the IOC, no old value is shown; the page recovers from its end and the server's."""
    config = tmp_path / "site.toml"
    with serving(ioc) as web:
        async with browsing(f"{web.url}instances/{P}GOOD", tmp_path) as page:
            await page.until("document.querySelector('#state').textContent === 'Running'")
            ioc.process.kill()
            ioc.process.wait()
            await page.until("document.querySelector('#state').textContent === 'No answer'")
            assert "PROCESS" not in await page.evaluate(
                "document.querySelector('#facts').innerText"
            )
            with Ioc(tmp_path, "--config", config, port=ioc.port) as again:
                again.ready()
                await page.until("document.querySelector('#state').textContent === 'Running'")
                web.end(signal.SIGKILL)
                await page.until("!document.querySelector('#banner').hidden")
                with serving(ioc, port=web.port):
                    await page.until(
                        "document.querySelector('#banner').hidden"
                        " && document.querySelector('#state').textContent === 'Running'"
                    )


async def test_an_ioc_that_was_away_for_long(ioc: Ioc, tmp_path: Path) -> None:
    """An IOC that was away for long is found within seconds, although libca searches rarely."""
    with serving(ioc) as web:
        ioc.process.kill()
        ioc.process.wait()
        async with browsing(f"{web.url}instances/{P}GOOD", tmp_path) as page:
            await page.until("document.querySelector('#state').textContent === 'No answer'")
            await asyncio.sleep(ABSENCE)
            with Ioc(tmp_path, "--config", tmp_path / "site.toml", port=ioc.port) as again:
                again.ready()
                async with asyncio.timeout(RETURN):
                    await page.until("document.querySelector('#state').textContent === 'Running'")
                await page.until(
                    "document.querySelector('#facts').innerText.includes('IOC version')"
                )
                await page.until("document.querySelector('#log').innerText.includes('red')")


async def test_three_hundred_instances(tmp_path: Path) -> None:
    """One page shows 300 instances, and the search finds one."""
    (tmp_path / "good.py").write_text(SCRIPTS["good.py"])
    names = [f"BGRSCRPT_{number:03d}" for number in range(1, 301)]
    tables = "".join(f"[instance.{name}]\n" for name in names)
    config = tmp_path / "many.toml"
    config.write_text(
        f'prefix = "{P}"\n[defaults]\nat_start = "stop"\nscript = "good.py"\n{tables}'
    )
    with Ioc(tmp_path, "--config", config) as ioc:
        ioc.ready()
        with serving(ioc) as web:
            async with browsing(web.url, tmp_path) as page:
                await page.until("document.querySelector('#counts').textContent === '300 Stopped'")
                assert await page.evaluate("document.querySelectorAll('.row').length") == 300


def nginx_conf(directory: Path, port: int, upstream: int) -> Path:
    """Write the configuration of nginx that the documentation shows, for a test's own place."""
    page = (Path(__file__).parents[2] / "docs/how-to/watch-in-a-browser.md").read_text()
    text = page.partition("```nginx\n")[2].partition("```")[0]
    text = text.replace("listen 443 ssl;", f"listen 127.0.0.1:{port};")
    text = "\n".join(line for line in text.splitlines() if "ssl_certificate" not in line)
    text = text.replace("127.0.0.1:8089", f"127.0.0.1:{upstream}")
    conf = directory / "nginx.conf"
    conf.write_text(
        f"daemon off; pid {directory}/nginx.pid; error_log {directory}/error.log;\n"
        f"events {{}}\nhttp {{ access_log off;\n{text}\n}}\n"
    )
    return conf


@pytest.mark.skipif(shutil.which("nginx") is None, reason="no nginx: run `make system`")
async def test_behind_a_proxy(ioc: Ioc, tmp_path: Path) -> None:
    """With the nginx configuration of the documentation, pages, events and login work."""
    port = free_port()
    with serving(ioc, "--allow-control", "--allow-host", "beamline.example.org") as web:
        nginx = subprocess.Popen(  # noqa: ASYNC220 - returns at once
            ["nginx", "-c", nginx_conf(tmp_path, port, web.port), "-p", tmp_path],
            stdin=subprocess.DEVNULL,
        )
        try:
            url = f"http://127.0.0.1:{port}/scripts/"
            until(lambda: answers(url))
            async with browsing(f"{url}instances/{P}GOOD", tmp_path) as page:
                await page.until("document.querySelector('#state')?.textContent === 'Running'")
                await page.evaluate("document.querySelector('[data-command=restart]').click()")
                await page.until("document.querySelector('#ask').open")
                await page.ask("Input.insertText", text=TOKEN)
                await press(page, "Enter")
                await page.until(
                    "document.querySelector('#answer').textContent === 'restart: done'"
                )
        finally:
            nginx.terminate()
            nginx.wait()


def answers(url: str) -> bool:
    """Return whether a web server answers at this address."""
    try:
        with urllib.request.urlopen(url, timeout=DEADLINE):  # noqa: S310 - of this test
            return True
    except OSError:
        return False


def test_without_the_extra(tmp_path: Path) -> None:
    """Without the extra `web`, the command says what to install."""
    code = (
        "import sys; sys.modules['uvicorn'] = None\n"
        "from bgrscrpt_ioc.cli.main import main; sys.exit(main(['web']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "pip install 'bgrscrpt_ioc[web]'" in done.stderr


def test_a_port_that_is_taken(ioc: Ioc) -> None:
    """If the port is taken, the error names the address, the port and the option."""
    with serving(ioc) as web:
        done = subprocess.run(
            [*COMMAND, "web", "--prefix", P, "--http-port", str(web.port)],
            env=ca_environ(ioc.port),
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert f"port {web.port}" in done.stderr
    assert "--http-port" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_token_is_a_file(ioc: Ioc, tmp_path: Path) -> None:
    """Without a variable the token is in a file that only its owner can read."""
    with serving(ioc, "--allow-control", "--state-dir", str(tmp_path / "s"), HOME="/") as web:
        path = tmp_path / "s" / "web.token"
        assert str(path) in web.said
        assert path.stat().st_mode & 0o777 == 0o600
        assert len(path.read_text().strip()) > 20
        assert path.read_text().strip() not in web.said
