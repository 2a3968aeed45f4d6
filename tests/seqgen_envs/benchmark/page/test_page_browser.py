"""The page in headless Chromium: it works, it is silent about nothing, and everybody can use it.

Needs ``pip install 'seqgen[browser]'`` and the system's Chromium; left out where either is missing,
unless the environment says that they must be there (``SEQGEN_BROWSER=1``, as in CI).
"""

import os
import shutil
from importlib import import_module
from pathlib import Path

import pytest

from helpers import results
from seqgen_envs.benchmark.page.report import write_report
from seqgen_envs.benchmark.suites import load_suite

MUST = os.environ.get("SEQGEN_BROWSER") == "1"
CHROMIUM = os.environ.get("SEQGEN_CHROMIUM") or shutil.which("chromium")
if CHROMIUM is None and not MUST:
    pytest.skip("there is no chromium (apt-get install chromium)", allow_module_level=True)


def needed(module):
    if MUST:
        return import_module(module)
    return pytest.importorskip(module, reason="pip install 'seqgen[browser]'")


axe = needed("axe_playwright_python.sync_playwright")
sync_api = needed("playwright.sync_api")

#: Every kind of block once: axe takes seconds for a thousand cells.
EACH_KIND = [["header"], ["footer"], ["#pmo-mini-v1"], ["#toy-v1 .bars"], ["#melody-v1 .cards"]]
DECODED = """async (audio) => {
    const content = atob(audio.src.split(",")[1]);
    const bytes = Uint8Array.from(content, (letter) => letter.charCodeAt(0));
    const context = new OfflineAudioContext(1, 8000, 8000);
    const sound = await context.decodeAudioData(bytes.buffer);
    return [sound.duration, Math.max(...sound.getChannelData(0).map(Math.abs))];
}"""
PLAYED = """(audio) => new Promise((resolve, reject) => {
    audio.addEventListener("timeupdate", () => audio.currentTime > 0 && resolve(audio.duration));
    audio.addEventListener("error", () => reject(audio.error.message));
    audio.muted = true;
    audio.play().catch(reject);
})"""


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    folder = tmp_path_factory.mktemp("browser")
    store = results.fill(folder / "results", tasks=1)
    suites = {name: load_suite(name) for name in ("toy-v1", "melody-v1", "pmo-mini-v1")}
    return write_report(store, suites, folder / "out").files[0]


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--autoplay-policy=no-user-gesture-required"],
        )
        yield chromium
        chromium.close()


class Opened:
    """A page, with what it has said on the console and asked for."""

    def __init__(self, browser, report, **context):
        self.context = browser.new_context(**context)
        self.page = self.context.new_page()
        self.page.set_default_timeout(120_000)  # of a machine that does much else
        self.metrics = self.context.new_cdp_session(self.page)
        self.metrics.send("Performance.enable")
        self.said, self.asked = [], []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("dialog", lambda dialog: self.said.append(dialog.message))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.goto(report.as_uri())
        self.processor_at_load = self.processor()

    def processor(self):
        """Seconds of a processor that the page has taken."""
        found = self.metrics.send("Performance.getMetrics")["metrics"]
        return {one["name"]: one["value"] for one in found}["ProcessTime"]


@pytest.fixture(scope="module")
def opened(browser, report):
    """On a desk, in light; shared by the tests that leave it as they find it."""
    return Opened(browser, report, viewport={"width": 1200, "height": 900})


def column(page, caption, name):
    """The cells of a column, as they are in the page now."""
    return page.evaluate(
        """([caption, name]) => {
            const table = [...document.querySelectorAll("table")].find(
                (one) => one.caption.textContent === caption);
            const headings = [...table.tHead.rows[0].cells];
            const at = headings.findIndex((one) => one.textContent.trim() === name);
            return [...table.tBodies[0].rows].map((row) => row.cells[at].firstChild.data.trim());
        }""",
        [caption, name],
    )


def said_and_held(opened, report):
    """Size and time of a page: both are stated, and held to 3 MB and a second."""
    megabytes = report.stat().st_size / 1e6
    seconds = opened.page.evaluate("performance.getEntriesByType('navigation')[0].loadEventEnd")
    used = opened.processor_at_load
    print(f"{megabytes:.2f} MB, loaded in {seconds / 1000:.2f} s, {used:.2f} s of a processor")
    assert megabytes < 3
    assert used < 1  # the time on the clock is that of whatever else the machine does


def test_size_and_time(opened, report):
    said_and_held(opened, report)


def test_size_and_time_of_a_large_page(browser, tmp_path):
    """12 agents, two suites of 6 tasks, 3 seeds: 432 runs, with sounds and pictures."""
    store, suites = results.fill_large(tmp_path / "results")
    report = write_report(store, suites, tmp_path / "out").files[0]
    opened = Opened(browser, report, viewport={"width": 1200, "height": 900})
    assert opened.page.locator("audio").count() >= 12
    assert opened.page.locator(".picture svg").count() >= 72
    said_and_held(opened, report)
    opened.page.set_viewport_size({"width": 360, "height": 780})
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= 360
    opened.context.close()


def test_nothing_is_asked_of_a_network_nor_said_on_the_console(opened, report):
    assert [url for url in opened.asked if not url.startswith("data:")] == [report.as_uri()]
    assert opened.said == []


def test_nothing_can_be_asked_of_a_network(browser, report):
    other = Opened(browser, report)
    asked = "fetch('http://localhost:9/').then(() => 'answered', (error) => error.name)"
    assert other.page.evaluate(asked) == "TypeError"
    assert any("Content Security Policy" in line for line in other.said)
    other.context.close()


def test_tables_sort_by_pointer_and_by_keyboard(opened):
    page, caption = opened.page, "Leaderboard of pmo-mini-v1"
    table = page.get_by_role("table", name=caption)
    before = column(page, caption, "agent")
    assert before[:2] == ["psi", "g"]
    heading = table.get_by_role("columnheader", name="AUC top10")
    assert heading.get_attribute("aria-sort") is None
    heading.get_by_role("button").click()
    assert heading.get_attribute("aria-sort") == "descending"
    values = [float(value) for value in column(page, caption, "AUC top10")]
    assert values == sorted(values, reverse=True)
    heading.get_by_role("button").press("Enter")
    assert heading.get_attribute("aria-sort") == "ascending"
    assert [float(value) for value in column(page, caption, "AUC top10")] == values[::-1]
    assert "sorted by AUC top10, ascending" in page.locator("#said").inner_text()
    name = table.get_by_role("columnheader", name="agent")
    name.get_by_role("button").press("Space")
    assert column(page, caption, "agent")[-1] == "reinvent"
    table.get_by_role("columnheader", name="place").get_by_role("button").click()
    table.get_by_role("columnheader", name="place").get_by_role("button").click()
    assert column(page, caption, "agent") == before


def test_every_sound_decodes_and_none_is_silent(opened):
    sounds = opened.page.locator("audio")
    assert sounds.count() >= 5
    for sound in sounds.all():
        seconds, loudest = sound.evaluate(DECODED)
        assert seconds == pytest.approx(4, abs=0.01)
        assert loudest > 0.5


def test_a_sound_plays_in_the_page(opened):
    assert opened.page.locator("audio").first.evaluate(PLAYED) == pytest.approx(4, abs=0.1)


def test_hostile_texts_are_shown_as_texts(opened):
    page = opened.page
    shown = page.locator("body").evaluate("(body) => body.textContent")
    for hostile in (results.HOSTILE, results.HOSTILE_SMILES, results.TRACEBACK):
        assert hostile in shown
    assert page.locator("img").count() == 0
    assert page.locator("script").count() == 1


def test_a_sequence_is_copied(opened):
    opened.context.grant_permissions(["clipboard-read", "clipboard-write"])
    button = opened.page.get_by_role("button", name=f"Copy: {results.HOSTILE}").first
    button.click()
    opened.page.wait_for_function("document.getElementById('said').textContent === 'Copied'")
    copied = opened.page.evaluate("navigator.clipboard.readText()")
    assert copied == results.HOSTILE_SMILES


def test_the_legend_leaves_a_series_alone(opened):
    block = opened.page.locator("#toy-v1 .charts").first
    block.get_by_role("button", name="reinvent").click()
    assert block.locator(".series:not(.away)").count() == 1
    block.get_by_role("button", name="reinvent").click()
    assert block.locator(".series.away").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_accessible_and_no_wider_than_a_phone(browser, report, scheme):
    kept = Path(os.environ.get("SEQGEN_SCREENSHOTS") or report.parent)
    kept.mkdir(parents=True, exist_ok=True)
    phone = Opened(browser, report, viewport={"width": 360, "height": 780}, color_scheme=scheme)
    assert phone.page.evaluate("document.documentElement.scrollWidth") <= 360
    phone.page.screenshot(path=kept / f"phone-{scheme}.png")
    phone.page.set_viewport_size({"width": 1200, "height": 900})
    phone.page.screenshot(path=kept / f"desk-{scheme}.png")
    print(f"screenshots are in {kept}")
    phone.page.evaluate("document.querySelectorAll('details').forEach((one) => one.open = true)")
    rules = {} if scheme == "light" else {"runOnly": ["color-contrast"]}  # what else is the same
    found = axe.Axe().run(
        phone.page, context={"include": EACH_KIND}, options={"resultTypes": ["violations"], **rules}
    )
    assert found.violations_count == 0, found.generate_report()
    assert phone.page.evaluate("document.documentElement.scrollWidth") <= 1200
    phone.page.set_viewport_size({"width": 360, "height": 780})
    assert phone.page.evaluate("document.documentElement.scrollWidth") <= 360  # all unfolded
    phone.context.close()
