"""The deployer's status page in a real browser: a real deployer, a real registry, three trained versions."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from playwright.sync_api import expect

from slipway.deployer import store
from slipway.release import history
from tests.browser import deployers
from tests.browser.deployers import BETTER, GOOD, WORSE, answer, card, change_status, states
from tests.browser.test_access import FAINT, FAULTS, OUTLINED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from playwright.sync_api import Page

    from tests.browser.deployers import Running

pytestmark = pytest.mark.timeout(900)  # s: three trainings and three deployments come before the first test
MARKUP = '<img src="/x" onerror="document.title = 1"><b>bold</b>'
UNBROKEN = "x" * 300


@pytest.fixture(scope="module")
def deployer(browser: object, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:  # noqa: ARG001 -- without one, no deployer
    """Run a deployer that has deployed two versions and refused a third."""
    with deployers.run(tmp_path_factory.mktemp("deployer")) as running:
        ended = [running.wait(running.deploy(version))["state"] for version in (GOOD, BETTER, WORSE)]
        assert ended == [store.DONE, store.DONE, store.FAILED]
        yield running


@pytest.fixture(scope="module")
def odd(deployer: Running) -> str:
    """Have markup and a long word in the deployer's records and the registry; return the id of that deployment."""
    deployer.record_release(by=UNBROKEN, verdict=MARKUP, forced=True, why=f"{MARKUP} {UNBROKEN}")
    return deployer.record_failure(MARKUP, f"{MARKUP} {UNBROKEN}")


def test_the_champion_is_shown(deployer: Running, visit: Callable[..., Page]) -> None:
    """Version, since when, by whom, the verdict, the metrics with the deciding one first, and where it answers."""
    page = visit(f"{deployer.url}/")
    champion, status = page.locator("#champion"), deployer.get("/status")
    metrics, promoted = (
        status["metrics"],
        next(each for each in status["releases"] if each["action"] == history.PROMOTED),
    )
    first = champion.locator("dl > div").first

    expect(champion.get_by_role("heading")).to_have_text(f"Version {BETTER}")
    expect(champion.locator("#since")).to_contain_text("promoted ")
    expect(champion.locator("#since")).to_contain_text(f"by {promoted['by']}")
    expect(champion.locator("#verdict")).to_have_text(promoted["verdict"])
    expect(first.locator("dt")).to_have_text("validation_rmse, the deciding metric")
    expect(first.locator("dd")).to_have_text(f"{metrics['validation_rmse']:.3f} ± {metrics['validation_rmse_std']:.3f}")
    expect(champion.locator("#targets")).to_contain_text(
        f"local: version {BETTER} answers at {deployer.settings.serving.api_url}"
    )
    assert champion.get_by_role("link").get_attribute("href") == deployer.settings.serving.api_url
    assert champion.locator("dt").count() == len([name for name in metrics if not name.endswith("_std")])


def test_a_refused_deployment_says_why(deployer: Running, visit: Callable[..., Page]) -> None:
    """State, reason, duration, steps, and on demand the verdict's picture, which says the verdict in words too."""
    page = visit(f"{deployer.url}/")
    shown = card(page, WORSE)
    found = next(each for each in deployer.get("/deployments")["deployments"] if each["version"] == WORSE)
    loaded_before = shown.locator("img").evaluate("image => image.naturalWidth")
    shown.locator("summary").click()
    expect(shown.locator("img")).to_have_js_property("complete", value=True)
    parts = shown.locator(".part").evaluate_all("parts => parts.map((part) => Number(part.style.flexGrow))")

    expect(shown.locator(".badge")).to_contain_text("failed")
    expect(shown.locator(".reason")).to_have_text(found["reason"])
    expect(shown.locator(".duration")).to_have_text(f"{found['ended'] - found['created']:.1f} s")
    assert shown.get_by_role("list", name="Steps").locator("li b").all_text_contents() == ["files", "gate"]
    assert parts == pytest.approx([step["ended"] - step["started"] for step in found["steps"]], rel=1e-3)
    assert loaded_before == 0
    assert shown.locator("img").evaluate("image => image.naturalWidth") > 300
    assert found["reason"] in (shown.get_by_role("img", name="Verdict").get_attribute("alt") or "")
    expect(page.locator("#history tr").filter(has_text="refused").first).to_contain_text(found["reason"])


def test_markup_stays_text(deployer: Running, odd: str, visit: Callable[..., Page]) -> None:
    """Names, reasons, words of steps and of releases are shown as they are; none becomes an element.

    A forced release says why.
    """
    page = visit(f"{deployer.url}/")
    shown = card(page, 9)
    shown.locator("summary").click()
    release = page.locator("#history tr").filter(has_text="forced").first

    for place in (
        shown.locator(".reason"),
        shown.locator(".hint"),
        shown.locator(".steps"),
        shown.locator(".words"),
        release,
    ):
        expect(place).to_contain_text(MARKUP)
    expect(release.locator(".badge").last).to_contain_text(f"forced: {MARKUP}")
    assert deployer.get(f"/deployments/{odd}")["reason"] == f"{MARKUP} {UNBROKEN}"
    assert page.locator("main").locator("[onerror], #timeline .reason b, #history b").count() == 0
    assert page.title() != "1"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"local": {"version": GOOD}}, f"version {GOOD} answers, not the champion, version {BETTER},"),
        ({"local": {"version": None}}, "local: nothing answers at"),
        ({"champion": None, "previous": None, "releases": [], "metrics": {}}, "No champion yet"),
        ({"previous": None}, "No version to roll back to"),
        (
            {"champion": None, "previous": None, "releases": [], "error": "refused"},
            "The tracking server does not answer: refused.",
        ),
    ],
    ids=["another version answers", "nothing answers", "no champion", "no way back", "no tracking server"],
)
def test_what_is_wrong_is_said(
    deployer: Running, visit: Callable[..., Page], changes: dict[str, Any], words: str
) -> None:
    """The page says so when another version than the champion answers, or none, or the tracking server is silent."""
    page = visit(f"{deployer.url}/")
    change_status(page, **changes)

    expect(page.get_by_text(words).first).to_be_visible()
    expect(page.locator("#roll-back")).to_be_visible(visible="previous" not in changes)


def test_a_silent_deployer_is_said(deployer: Running, visit: Callable[..., Page]) -> None:
    """When the deployer goes away the page says so and keeps what it knew; when it is back, so is the page."""
    page = visit(f"{deployer.url}/", refused=True)
    page.route("**/status", lambda route: route.abort())
    expect(page.locator("#trouble")).to_contain_text("The deployer does not answer.")
    expect(page.locator("#champion-title")).to_have_text(f"Version {BETTER}")
    page.unroute("**/status")

    expect(page.locator("#trouble")).to_be_hidden()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.usefixtures("odd")
def test_every_state_can_be_read_and_named(deployer: Running, visit: Callable[..., Page], scheme: str) -> None:
    """In each state everything has a name, headings nest, and text has a contrast of at least 4.5."""
    page = visit(f"{deployer.url}/", color_scheme=scheme, reduced_motion="reduce", refused=True)
    faults = []
    for reach in states(page, "forced"):
        reach()
        faults += [*page.evaluate(FAULTS), *page.evaluate(FAINT)]

    assert faults == []


@pytest.mark.parametrize("width", [320, 360, 768])
@pytest.mark.usefixtures("odd")
def test_it_fits_a_phone(deployer: Running, visit: Callable[..., Page], width: int) -> None:
    """On a narrow screen nothing makes the page wider than it, in any state, however long a word is."""
    page = visit(f"{deployer.url}/", width, refused=True)
    widths = []
    for reach in states(page, "forced"):
        reach()
        widths.append(page.evaluate("document.documentElement.scrollWidth"))

    assert widths == [width] * len(widths)


def test_a_rollback_needs_the_token(deployer: Running, visit: Callable[..., Page]) -> None:
    """Without the token or with a wrong one the server's words are shown and nothing changes.

    With it the version before answers.
    """
    deployer.restore()
    page = visit(f"{deployer.url}/", refused=True)
    before = len(deployer.get("/deployments?limit=500")["deployments"])
    page.get_by_role("button", name=f"Roll back to version {GOOD}").click()
    page.evaluate(
        "['close', 'roll-back'].forEach((id) => document.getElementById(id).click())"
    )  # a closing is reported later
    answer(page, "")
    expect(page.locator("#asking-problem")).to_contain_text("a token is needed")
    answer(page, "wrong é")
    expect(page.locator("#asking-problem")).to_contain_text("the token is wrong; .slipway/deployer/")
    unchanged = len(deployer.get("/deployments?limit=500")["deployments"]) == before
    answer(page, deployer.token)
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(page.locator("#champion-title")).to_have_text(f"Version {GOOD}", timeout=deployers.DEADLINE * 1000)
    deployer.wait_for_all()

    expect(page.locator("#targets")).to_contain_text(f"local: version {GOOD} answers at")
    expect(page.locator("#since")).to_contain_text("rolled back")
    expect(page.get_by_role("status")).to_have_text(f"Version {GOOD}: done.")
    expect(page.locator("#no-way-back")).to_have_text("No version to roll back to")
    assert unchanged
    assert deployer.find_answering() == GOOD
    assert page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}, document.cookie])") == '[{},{},""]'


def test_a_running_one_grows_and_a_pending_one_is_cancelled(deployer: Running, visit: Callable[..., Page]) -> None:
    """The time of what runs goes on; what waits behind it is cancelled from the page, and stays so."""
    deployer.wait_for_all()
    page = visit(f"{deployer.url}/")
    with deployer.holding_the_alias():  # or it may be done too soon
        running = deployer.begin_another()
        waiting = deployer.deploy(WORSE)
        shown = card(page, running["version"])
        expect(shown.locator(".part[data-state=running]")).to_be_visible()
        times = []
        for _ in range(2):
            times.append(float(shown.locator(".duration").inner_text().removesuffix(" s")))
            time.sleep(1.2)
        card(page, WORSE).get_by_role("button", name=f"Cancel the deploy of version {WORSE}").click()
        answer(page, deployer.token)
        expect(card(page, WORSE).locator(".badge")).to_contain_text("cancelled")

    expect(card(page, WORSE).get_by_role("button")).to_be_hidden()
    assert times[1] > times[0]
    assert deployer.wait(running)["state"] == store.DONE
    assert deployer.get(f"/deployments/{waiting['id']}")["state"] == store.CANCELLED


def test_it_works_by_keyboard_alone(deployer: Running, visit: Callable[..., Page]) -> None:
    """Tab goes through the page with the focus in sight; the dialog keeps it, Escape closes it and gives it back.

    Enter sends.
    """
    deployer.restore()
    page = visit(f"{deployer.url}/", refused=True)
    press = page.keyboard.press
    order, unseen = [], []
    for _ in range(5):
        press("Tab")
        order.append(page.evaluate("document.activeElement.id || document.activeElement.innerText"))
        if not page.evaluate(OUTLINED):
            unseen.append(order[-1])
    page.locator("#roll-back").focus()
    press("Enter")
    expect(page.get_by_label("Token")).to_be_focused()
    inside = []
    for _ in range(4):
        press("Tab")
        inside.append(page.evaluate("document.activeElement.id"))
    press("Escape")
    expect(page.locator("#roll-back")).to_be_focused()
    press("Space")
    page.keyboard.type("wrong")
    press("Enter")
    expect(page.locator("#asking-problem")).to_contain_text("the token is wrong")

    expect(page.get_by_label("Token")).to_be_focused()
    assert order[:4] == ["Skip to the deployments", "API docs", "roll-back", deployer.settings.serving.api_url]
    assert unseen == []
    assert set(inside) <= {"do-it", "close", "token", ""}  # "": the browser's own bar


def test_what_is_older_is_shown_on_demand(deployer: Running, visit: Callable[..., Page]) -> None:
    """The page begins with ten deployments and ten releases; buttons show the others."""
    for _ in range(10):
        deployer.record_failure("a test", "words")
        deployer.record_release(by="a test", verdict="words")
    status, found = deployer.get("/status"), deployer.get("/deployments?limit=500")["deployments"]
    page = visit(f"{deployer.url}/")
    few = [page.locator("#timeline > li").count(), page.locator("#history tr").count()]
    page.get_by_role("button", name="Show older deployments").click()
    page.get_by_role("button", name=f"Show all {len(status['releases'])} releases").click()

    expect(page.locator("#timeline > li")).to_have_count(len(found))
    expect(page.locator("#history tr")).to_have_count(len(status["releases"]))
    assert few == [10, 10]
