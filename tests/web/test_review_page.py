"""The page in a real headless Chromium: every flow by keyboard, no accessibility violations, no script let in."""

import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, Page, Route, ViewportSize, expect

from builders import sample_films
from servers.chromium import browser as started
from servers.review import Review

LAPTOP, PHONE = ViewportSize(width=1280, height=800), ViewportSize(width=390, height=844)
SCRIPT = "<svg onload=window.pwned=1><video src=x onerror=window.pwned=1>"  # what texts are not cleaned of
EVIL = {"id": f"evil/{SCRIPT}", "title": f"0 {SCRIPT}", "tags": [f"tag {SCRIPT}"]}
EVIL["synopsis"] = f"A man {SCRIPT} robs a bank, and another plot unfolds around the stolen money of the town."
READ = f"{EVIL['title']}. {EVIL['synopsis']}"
PEOPLE = {"directors": ["Charlie Chaplin"], "cast": ["Charlie Chaplin", *(f"Émile {n}" for n in range(9))]}
WHOLE = [
    {"id": "whole", "title": "Le Kid", "synopsis": "A tramp finds a child.", "poster": "poster.jpg", "runtime": 68,
     "countries": ["US"], "languages": ["en"], "companies": ["First National", "W" * 90], **PEOPLE},
    {"id": "facts", "title": "Without text, with facts", **PEOPLE},
    {"id": "torn", "title": "A torn poster", "synopsis": "A tramp.", "poster": "torn.jpg"},
]  # fmt: skip
SLOWLY = """const fast = fetch;
window.fetch = async (...asked) => { await new Promise((go) => setTimeout(go, 300)); return fast(...asked); };
undefined"""
WATCH = "addEventListener('securitypolicyviolation', (event) => console.error('policy', event.blockedURI));"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with started() as browser:
        yield browser


@pytest.fixture(scope="module")
def review(film_tagger_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Review]:
    folder = tmp_path_factory.mktemp("review")
    untagged = [{name: film[name] for name in film if name != "tags"} for film in sample_films(120)]
    films = [EVIL, {"id": "blank", "title": "Without text"}, *WHOLE, *untagged]
    Image.new("RGB", (400, 600), "teal").save(folder / "poster.jpg")
    (folder / "torn.jpg").write_bytes((folder / "poster.jpg").read_bytes()[:700])
    (folder / "films.jsonl").write_text("".join(json.dumps(film) + "\n" for film in films))
    with Review(folder / "films.jsonl", film_tagger_folder, folder / "review.sqlite") as review:
        review.wait_for_suggestions(125)
        yield review


@contextmanager
def visiting(
    browser: Browser, review: Review, name: str, dark: bool = False, errors: int = 0, **given: object
) -> Iterator[Page]:
    """A page of a reviewer who gave this name; it fails where the console says anything or another host is asked."""
    context = browser.new_context(color_scheme="dark" if dark else "light", **({"viewport": LAPTOP} | given))  # type: ignore[arg-type]
    page = context.new_page()
    page.set_default_timeout(10_000)
    page.add_init_script(WATCH)
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(f"{review.address}/reviewer")
    expect(page.get_by_label("Your name")).to_be_focused()
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type(name)
    page.keyboard.press("Enter")
    queue_is_there(page)
    yield page
    context.close()
    assert len(said) == errors, said
    assert {urlsplit(url).netloc for url in asked} == {urlsplit(review.address).netloc}


def queue_is_there(page: Page) -> None:
    expect(page.get_by_role("heading", name="Films to review")).to_be_visible()
    page.wait_for_load_state()


def first_film(page: Page) -> None:
    page.keyboard.press("n")
    film_is_there(page)


def film_is_there(page: Page) -> None:
    expect(page.get_by_role("heading", name="Tags", exact=True)).to_be_visible()
    page.wait_for_load_state()


def film_id(page: Page) -> str:
    return parse_qs(urlsplit(page.url).query)["id"][0]


def said_of(review: Review, page: Page, name: str) -> dict[str, str]:
    """What is kept of a reviewer's tags for the film that is open."""
    with sqlite3.connect(review.decisions) as connection:
        query = "SELECT tag, kind FROM verdict WHERE film = ? AND reviewer = ?"
        return dict(connection.execute(query, (film_id(page), name)))


def left(page: Page) -> list[str]:
    return page.locator("[data-left]").evaluate_all("rows => rows.map((row) => row.dataset.tag)")


def many(page: Page, review: Review) -> None:
    """Open a film with a text and at least three tags to decide on."""
    with sqlite3.connect(review.decisions) as connection:
        query = """SELECT film FROM suggestion JOIN film ON film = id WHERE given AND text <> ''
            AND film NOT IN (SELECT film FROM decision) GROUP BY film HAVING count(*) >= 3 LIMIT 1"""
        (film,) = connection.execute(query).fetchone()
    page.goto(f"{review.address}/film?id={film}")


def test_tags_are_accepted_rejected_explained_added_and_undone_by_keys(browser: Browser, review: Review) -> None:
    with visiting(browser, review, "Kay") as page:
        many(page, review)
        status, text = page.get_by_role("status"), page.locator("#text").text_content()
        one, two, *_ = before = left(page)
        page.keyboard.press("a")
        expect(status).to_contain_text(f"{one} accepted")
        expect(page.get_by_role("button", name=f"Accept {one}", exact=True)).to_have_attribute("aria-pressed", "true")
        expect(page.get_by_role("button", name=f"Accept {two}", exact=True)).to_be_focused()
        page.keyboard.press("r")
        expect(status).to_contain_text(f"{two} rejected")
        assert said_of(review, page, "Kay") == {one: "accept", two: "reject"}
        page.keyboard.press("w")
        expect(page.locator(".why:visible")).to_contain_text("suggested from")
        assert page.locator("#text").text_content() == text
        page.keyboard.press("+")
        page.keyboard.type("quite new")
        expect(page.get_by_role("option", name="quite new")).to_have_attribute("aria-selected", "true")
        page.keyboard.press("Enter")
        expect(status).to_contain_text("quite new added")
        expect(page.get_by_role("combobox")).to_be_focused()
        page.keyboard.press("Escape")
        page.keyboard.press("u")
        expect(status).to_contain_text("Undone: quite new")
        page.keyboard.press("u")
        expect(status).to_contain_text(f"Undone: {two}")
        assert said_of(review, page, "Kay") == {one: "accept"}
        page.keyboard.press("Shift+A")
        expect(page.locator("[data-left]")).to_have_count(0)
        assert said_of(review, page, "Kay") == dict.fromkeys(before, "accept")
        page.keyboard.press("a")
        expect(status).to_contain_text("Nothing is left to decide here.")
        page.keyboard.press("j")
        page.keyboard.press("a")
        expect(status).to_contain_text("accepted already")


def test_keys_faster_than_the_answers_each_find_the_page_as_the_one_before_left_it(
    browser: Browser, review: Review
) -> None:
    with visiting(browser, review, "Fay") as page:
        many(page, review)
        one, two, *others = left(page)
        page.evaluate(SLOWLY)
        for key in ("a", "r", "Shift+A"):
            page.keyboard.press(key)
        expect(page.locator("[data-left]")).to_have_count(0)
        assert said_of(review, page, "Fay") == {one: "accept", two: "reject"} | dict.fromkeys(others, "accept")


def test_caps_lock_makes_no_other_key_of_a_letter(browser: Browser, review: Review) -> None:
    with visiting(browser, review, "Cap") as page:
        many(page, review)
        one, *others = left(page)
        page.evaluate("document.body.dispatchEvent(new KeyboardEvent('keydown', { key: 'A', bubbles: true }))")
        expect(page.get_by_role("status")).to_contain_text(f"{one} accepted")
        assert left(page) == others


def test_the_focus_stays_where_the_reviewer_went_before_the_answer(browser: Browser, review: Review) -> None:
    with visiting(browser, review, "Foc") as page:
        many(page, review)
        one, *_ = left(page)
        page.evaluate(SLOWLY)
        page.keyboard.press("a")
        page.locator("#done").focus()
        expect(page.get_by_role("status")).to_contain_text(f"{one} accepted")
        expect(page.locator("#done")).to_be_focused()
        for key in ("j", "a", "r", "+"):
            page.keyboard.press(key)
        page.keyboard.type("run")
        expect(page.get_by_role("status")).to_contain_text("rejected")
        expect(page.get_by_role("combobox")).to_be_focused()
        expect(page.get_by_role("combobox")).to_have_value("run")


def test_done_skip_and_undo_lead_from_film_to_film(browser: Browser, review: Review) -> None:
    with visiting(browser, review, "Sid") as page:
        first_film(page)
        first = film_id(page)
        page.keyboard.press("s")
        expect(page.get_by_role("status")).to_contain_text("skipped")
        second = film_id(page)
        page.keyboard.press("n")
        expect(page.get_by_role("status")).to_contain_text(": done")
        assert len({first, second, film_id(page)}) == 3
        done = page.locator("#progress-text").inner_text()
        page.keyboard.press("u")
        expect(page.get_by_role("status")).to_contain_text("Undone: done")
        assert film_id(page) == second
        assert page.locator("#progress-text").inner_text() != done
        page.keyboard.press("u")
        expect(page.get_by_role("status")).to_contain_text("Undone: skip")
        assert film_id(page) == first
        page.keyboard.press("u")
        expect(page.get_by_role("status")).to_contain_text("Nothing to undo")
        page.keyboard.press("q")
        queue_is_there(page)


def test_everything_works_with_tab_and_enter_when_the_keys_are_off(browser: Browser, review: Review) -> None:
    with visiting(browser, review, "Tab") as page:
        page.keyboard.press("?")
        expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
        page.get_by_role("checkbox").focus()
        page.keyboard.press("Space")
        page.keyboard.press("Escape")
        page.keyboard.press("n")
        expect(page.get_by_role("heading", name="Films to review")).to_be_visible()
        page.get_by_role("link", name="Start reviewing").focus()
        page.keyboard.press("Enter")
        film_is_there(page)
        page.keyboard.press("a")
        row = page.locator(".row").first
        accept, reject = row.locator("[data-kind=accept]"), row.locator("[data-kind=reject]")
        accept.focus()
        page.keyboard.press("Space")
        expect(accept).to_have_attribute("aria-pressed", "true")
        expect(accept).to_be_focused()
        page.keyboard.press("Tab")
        expect(reject).to_be_focused()
        page.keyboard.press("Enter")
        expect(reject).to_have_attribute("aria-pressed", "true")
        page.keyboard.press("Enter")
        expect(reject).to_have_attribute("aria-pressed", "false")
        assert said_of(review, page, "Tab") == {}
        assert (
            accept.evaluate("(button) => { button.focus(); return getComputedStyle(button).outlineStyle }") == "solid"
        )


def test_films_are_chosen_by_filter_and_arrow(browser: Browser, review: Review) -> None:
    with visiting(browser, review, "Fil") as page:
        page.get_by_label("Suggested tag").focus()
        page.keyboard.press("ArrowDown")
        tag = page.get_by_label("Suggested tag").input_value()
        page.keyboard.press("Tab")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        page.wait_for_url(re.compile("tag="))
        assert {"tag": [tag], "sure": ["high"]}.items() <= parse_qs(urlsplit(page.url).query).items()
        expect(page.get_by_label("Suggested tag")).to_have_value(tag)
        page.goto(f"{review.address}/?show=all")
        page.keyboard.press("j")
        page.keyboard.press("j")
        expect(page.locator("a.film").nth(1)).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.get_by_role("link", name="motags review")).to_have_attribute("href", "/?show=all")


def test_a_known_tag_is_found_by_its_letters_and_accepted(browser: Browser, review: Review) -> None:
    with visiting(browser, review, "Ada") as page:
        page.goto(f"{review.address}/film?id=blank")
        page.keyboard.press("+")
        page.keyboard.type("wa")
        known = page.get_by_role("option", name="War keyword")
        expect(known).to_have_attribute("aria-selected", "true")
        page.keyboard.press("ArrowDown")
        expect(known).to_have_attribute("aria-selected", "false")
        page.keyboard.press("ArrowUp")
        page.keyboard.press("Enter")
        expect(page.get_by_role("status")).to_contain_text("War added")
        assert said_of(review, page, "Ada") == {"War": "add"}


def test_a_tag_that_is_typed_exactly_stands_first(browser: Browser, review: Review) -> None:
    with visiting(browser, review, "Eva") as page:
        page.goto(f"{review.address}/film?id=blank")
        tags = [{"name": name, "kind": kind} for name, kind in (("Family", "genre"), ("family", "keyword"))]
        tags = [{"name": f"Family {n:02}", "kind": ""} for n in range(12)] + tags
        page.route("**/tags", lambda route: route.fulfill(json=tags))
        for typed, first in (("family", "family keyword"), ("Family", "Family genre"), ("FAMILY", "Family genre")):
            page.keyboard.press("+")
            page.keyboard.type(typed)
            expect(page.get_by_role("option").first).to_have_text(first)
            page.keyboard.press("Control+a")
            page.keyboard.press("Backspace")
            page.keyboard.press("Escape")
            page.keyboard.press("Escape")


def test_accept_and_reject_are_told_apart_in_forced_colours(browser: Browser, review: Review) -> None:
    with visiting(browser, review, "Hic", forced_colors="active") as page:
        many(page, review)
        button = page.locator("[data-kind=accept]").first
        before = button.evaluate("(button) => getComputedStyle(button).backgroundColor")
        page.keyboard.press("a")
        expect(button).to_have_attribute("aria-pressed", "true")
        assert button.evaluate("(button) => getComputedStyle(button).backgroundColor") != before


def test_a_conflict_is_shown_to_both(browser: Browser, review: Review) -> None:
    with visiting(browser, review, "Yes") as yes, visiting(browser, review, "No") as no:
        first_film(yes)
        tag = yes.locator(".row").first.get_attribute("data-tag")
        yes.locator(".row [data-kind=accept]").first.focus()
        yes.keyboard.press("a")
        expect(yes.get_by_role("status")).to_contain_text("accepted")
        no.goto(yes.url)
        expect(no.locator(".row").first).to_contain_text("Yes accepts it")
        no.locator(".row [data-kind=reject]").first.focus()
        no.keyboard.press("r")
        expect(no.locator(".row").first).to_contain_text("conflict")
        yes.reload()
        expect(yes.locator(f'[data-tag="{tag}"]')).to_contain_text("No rejects it")
        yes.goto(f"{review.address}/?show=conflicts")
        expect(yes.locator("a.film")).to_have_count(1)


def test_a_decision_whose_answer_was_lost_is_sent_again_and_kept_once(browser: Browser, review: Review) -> None:
    with visiting(browser, review, "Net", errors=2) as page:
        many(page, review)
        tag, lost = left(page)[0], 0

        def lose_first(route: Route) -> None:
            nonlocal lost
            lost += 1
            route.fetch()
            if lost == 1:
                route.fulfill(status=502, body="")
            else:
                route.continue_()

        page.route("**/decide", lose_first)
        page.keyboard.press("a")
        expect(page.get_by_role("status")).to_contain_text("accepted")
        with sqlite3.connect(review.decisions) as connection:
            query = "SELECT count(*) FROM decision WHERE reviewer = 'Net' AND tag = ?"
            assert connection.execute(query, (tag,)).fetchone() == (1,)
        page.unroute("**/decide")
        page.route("**/decide", lambda route: route.fulfill(status=422, json={"error": "no such thing"}))
        page.keyboard.press("r")
        expect(page.get_by_role("status")).to_contain_text("Not kept: no such thing")


SHAPES = [(LAPTOP, False), (LAPTOP, True), (PHONE, False), (PHONE, True)]


@pytest.mark.parametrize(("viewport", "dark"), SHAPES, ids=["laptop", "laptop, dark", "phone", "phone, dark"])
def test_no_page_has_an_accessibility_violation(
    browser: Browser, review: Review, viewport: ViewportSize, dark: bool
) -> None:
    with visiting(browser, review, "Axe", dark=dark, viewport=viewport) as page:
        check(page, "queue")
        page.keyboard.press("?")
        check(page, "keys")
        page.keyboard.press("Escape")
        many(page, review)
        page.keyboard.press("w")
        expect(page.locator(".near:visible")).to_be_visible()
        check(page, "film, why")
        page.keyboard.press("+")
        page.keyboard.type("a")
        expect(page.get_by_role("option").first).to_be_visible()
        check(page, "film, adding")
        page.keyboard.press("Escape")
        page.keyboard.press("Escape")
        for key in "arr":
            page.keyboard.press(key)
            page.wait_for_timeout(100)
        expect(page.locator("[data-mine=reject]").first).to_be_visible()
        check(page, "film, decided")
        page.goto(f"{review.address}/film?id=facts")
        page.keyboard.press("w")
        expect(page.locator(".kinds:visible")).to_be_visible()
        check(page, "film without text, why")
        page.goto(f"{review.address}/film?id=whole")
        expect(page.get_by_role("img", name="Poster of Le Kid")).to_be_visible()
        page.locator("summary").first.click()
        check(page, "film with all, unfolded")
        for path in ("/film?id=blank", "/?show=conflicts", "/?show=mine&tag=none", "/?q=chaplin&show=all", "/reviewer"):
            page.goto(review.address + path)
            check(page, path)


def check(page: Page, what: str) -> None:
    """No violations of any rule of axe, and nothing to scroll to sideways."""
    violations = Axe().run(page).response["violations"]
    found = [(one["id"], [node["target"] for node in one["nodes"]]) for one in violations]
    assert found == [], what
    wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide <= 0, f"{what} is wider than the window"


def test_enter_waits_for_the_tags_that_are_still_on_their_way(browser: Browser, review: Review) -> None:
    with visiting(browser, review, "Flo") as page:
        page.goto(f"{review.address}/film?id=blank")
        page.route("**/tags", lambda route: page.wait_for_timeout(300) or route.continue_())
        page.keyboard.press("+")
        page.keyboard.type("typed in haste")
        page.keyboard.press("Enter")
        expect(page.get_by_role("status")).to_contain_text("typed in haste added")


@pytest.mark.parametrize("width", [320, 390, 768, 1024])
def test_long_words_and_many_tags_fit_every_width(browser: Browser, review: Review, width: int) -> None:
    with visiting(browser, review, "W" * 40, viewport=ViewportSize(width=width, height=700)) as page:
        page.goto(f"{review.address}/film?id=blank")
        page.keyboard.press("+")
        page.keyboard.type(f"{width} {'x' * 90}")
        page.keyboard.press("Enter")
        expect(page.get_by_role("status")).to_contain_text("xxx added")
        check(page, f"{width} pixels")


@pytest.mark.parametrize("width", [320, 1280])
def test_poster_and_facts_stand_beside_the_text_at_once(browser: Browser, review: Review, width: int) -> None:
    with visiting(browser, review, "Pos", viewport=ViewportSize(width=width, height=800)) as page:
        page.route("**/poster*", lambda route: page.wait_for_timeout(300) or route.continue_())
        page.goto(f"{review.address}/film?id=whole", wait_until="commit")
        poster, text = page.get_by_role("img", name="Poster of Le Kid"), page.locator("#text")
        before = text.bounding_box()
        expect(poster).to_have_js_property("complete", True)
        assert poster.evaluate("(image) => [image.naturalWidth, image.naturalHeight]") == [320, 480]
        assert text.bounding_box() == before
        facts = page.locator(".about dl")
        for said in ("Charlie Chaplin", "United States", "English", "68 minutes", "First National"):
            expect(facts).to_contain_text(said)
        last = page.locator("details > span", has_text="Émile 8")
        expect(last).to_be_hidden()
        page.locator("summary").last.click()
        expect(last).to_be_visible()
        check(page, f"{width} pixels")


def test_a_torn_poster_leaves_no_hole(browser: Browser, review: Review) -> None:
    with visiting(browser, review, "Tor", errors=1) as page:
        page.goto(f"{review.address}/film?id=torn")
        expect(page.locator("img")).to_have_count(0)
        expect(page.locator("#text")).to_be_visible()


def test_a_film_without_a_text_says_why_by_key(browser: Browser, review: Review) -> None:
    with visiting(browser, review, "Wit") as page:
        page.goto(f"{review.address}/film?id=facts")
        expect(page.locator("article")).to_contain_text("This film has no text")
        page.keyboard.press("w")
        expect(page.locator(".kinds:visible")).to_contain_text("facts")
        page.keyboard.press("w")
        expect(page.locator(".kinds")).to_have_count(0)
        page.goto(f"{review.address}/film?id=blank")
        expect(page.locator("article")).to_contain_text("it suggests nothing")
        expect(page.locator("img, .about")).to_have_count(0)


def test_a_film_is_found_by_a_person_and_the_search_goes_along(browser: Browser, review: Review) -> None:
    with visiting(browser, review, "Ema") as page:
        page.keyboard.press("/")
        expect(page.get_by_label("Title or person")).to_be_focused()
        page.keyboard.type("emile 3")
        page.keyboard.press("Enter")
        page.wait_for_url(re.compile("q="))
        expect(page.locator("a.film")).to_have_count(2)
        expect(page.locator(".people").first).to_contain_text("Émile 3")
        first_film(page)
        assert parse_qs(urlsplit(page.url).query)["q"] == ["emile 3"]
        first = film_id(page)
        page.keyboard.press("s")
        expect(page.get_by_role("status")).to_contain_text("skipped")
        assert {first, film_id(page)} == {"whole", "facts"}
        page.keyboard.press("u")
        expect(page.get_by_role("status")).to_contain_text("Undone: skip")
        page.keyboard.press("q")
        queue_is_there(page)
        expect(page.get_by_label("Title or person")).to_have_value("emile 3")
        page.keyboard.press("/")
        page.keyboard.type("100%")
        page.keyboard.press("Enter")
        expect(page.get_by_text("No film here has that title or such a person.")).to_be_visible()
        page.get_by_role("link", name="Search all films").click()
        expect(page.get_by_label("Films", exact=True)).to_have_value("all")


def test_a_script_in_a_title_a_tag_or_a_plot_is_text(browser: Browser, review: Review) -> None:
    with visiting(browser, review, f"Eve {SCRIPT}"[:40]) as page:
        for _ in range(5):  # pages of the queue
            if page.get_by_text(f"0 {SCRIPT}").count():
                break
            page.get_by_role("link", name="Next").click()
            queue_is_there(page)
        expect(page.get_by_text(f"0 {SCRIPT}")).to_be_visible()
        page.goto(f"{review.address}/film?id={quote(str(EVIL['id']))}")
        expect(page.get_by_role("heading", level=1)).to_have_text(f"0 {SCRIPT}")
        expect(page.locator("#text")).to_have_text(READ)
        expect(page.locator(".tag", has_text=f"tag {SCRIPT}")).to_be_visible()
        page.keyboard.press("+")
        page.keyboard.type(f"new {SCRIPT}")
        page.keyboard.press("Enter")
        expect(page.get_by_role("status")).to_contain_text(f"new {SCRIPT} added")
        page.locator("[data-kind=why]").first.focus()
        page.keyboard.press("w")
        expect(page.locator(".why:visible")).to_contain_text("suggested from")
        expect(page.locator("#text")).to_have_text(READ)
        assert page.evaluate("window.pwned") is None


def test_what_the_policy_forbids_is_stopped_by_the_browser(browser: Browser, review: Review) -> None:
    with visiting(browser, review, "Mal", errors=5) as page:
        page.evaluate("""() => {
            document.body.insertAdjacentHTML("beforeend", "<img src=x onerror='window.pwned = 1'>");
            document.body.append(Object.assign(document.createElement("script"), { textContent: "window.pwned = 1" }));
        }""")
        page.wait_for_timeout(300)
        assert page.evaluate("window.pwned") is None
