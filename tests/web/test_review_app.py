"""The page as a server: a real process on loopback, asked for what it must give and what it must refuse."""

import json
import re
import shutil
import signal
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from html import unescape
from pathlib import Path
from typing import Any

import pytest
import requests

from builders import sample_films
from motags.artifacts import seal
from motags.errors import MotagsError
from motags.tagger.folder import version_of
from motags.tagger.tagger import Tagger
from motags.web.server import serve
from servers.review import Client, Review

SCRIPT = "<svg onload=alert(1)>"  # HTML that a catalogue's texts are not cleaned of
CANARY = "canary-7f3a"
PLOT = "A man with a gun & a <plan> " + SCRIPT
FILMS = [
    {"id": f"a/b?{SCRIPT}&c=\"'#", "title": f"Evil {SCRIPT}", "synopsis": PLOT, "tags": [f"tag {SCRIPT}"]},
    {"id": "no-text", "title": "No text", "tags": ["Drama"]},
]
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
    "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}


@pytest.fixture(scope="session")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("catalogue") / "films.jsonl"
    path.write_text("".join(json.dumps(film) + "\n" for film in [*FILMS, *sample_films(60)]))
    return path


@pytest.fixture(scope="module")
def page(catalogue: Path, film_tagger_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Review]:
    with Review(catalogue, film_tagger_folder, tmp_path_factory.mktemp("review") / "review.sqlite") as page:
        page.wait_for_suggestions(62)
        yield page


@pytest.fixture
def ana(page: Review) -> Client:
    return Client(page.address)


def decisions(page: Review) -> list[sqlite3.Row]:
    with sqlite3.connect(page.decisions) as connection:
        connection.row_factory = sqlite3.Row
        return connection.execute("SELECT * FROM decision ORDER BY seq").fetchall()


def new_act() -> str:
    return f"act-{time.monotonic_ns():020}"


def film_ids(client: Client, **query: str) -> list[str]:
    rows = client.get("/", **query).text.split('class="film" href="/film?id=')[1:]
    return [requests.utils.unquote(row.split('"')[0].split("&amp;")[0].replace("+", " ")) for row in rows]


def test_it_opens_on_the_queue(ana: Client) -> None:
    shown = ana.get("/")
    assert shown.status_code == 200
    assert "62 films" in shown.text
    assert len(film_ids(ana)) == 25
    assert len(film_ids(ana, page="3")) == 12


@pytest.mark.parametrize(
    ("path", "status"),
    [("/", 200), ("/film?id=no-text", 200), ("/film?id=none", 404), ("/film", 422), ("/nowhere", 404), ("/tags", 200),
     ("/poster?id=no-text", 404), ("/poster", 422), (f"/?q={'x' * 201}", 422),
     ("/static/film.js", 200), ("/static/none", 404), ("/export/none", 404), ("/reviewer", 200), ("/docs", 404),
     ("/openapi.json", 404), ("/?show=none", 422), ("/?page=0", 422), ("/static/%2e%2e/store.py", 404)],
)  # fmt: skip
def test_every_answer_has_the_strict_policy(ana: Client, path: str, status: int) -> None:
    answer = ana.session.get(ana.address + path, timeout=30)
    assert answer.status_code == status
    assert {name: answer.headers[name] for name in HEADERS} == HEADERS
    assert "Server" not in answer.headers


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8737", "127.0.0.1", "localhost:1", "", "127.0.0.1.evil"]
)
def test_a_name_that_was_pointed_at_this_machine_is_not_answered(ana: Client, host: str) -> None:
    answer = ana.session.get(f"{ana.address}/", headers={"Host": host}, timeout=30)
    assert answer.status_code == 421
    assert "film" not in answer.text


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "", "http://127.0.0.1", "http://127.0.0.1.evil", "http://["]
)
def test_another_page_can_not_decide(page: Review, ana: Client, origin: str) -> None:
    before = len(decisions(page))
    ana.session.headers["Origin"] = origin
    assert ana.decide(new_act(), "no-text", "accept", "Drama").status_code == 403
    assert ana.post("/undo", {"act": new_act()}).status_code == 403
    assert len(decisions(page)) == before


def chunks(megabytes: int) -> Iterator[bytes]:
    for _ in range(megabytes):
        yield b"x" * 2**20


def test_a_body_of_50_mb_is_refused_and_not_held(page: Review, ana: Client) -> None:
    ana.get("/")
    for body in (b"x" * 50 * 2**20, chunks(50)):
        before = page.memory_now_mb()
        answer = ana.session.post(f"{ana.address}/decide", data=body, timeout=30)
        assert answer.status_code == 413
        assert page.memory_mb() - before < 30
    assert ana.get("/").status_code == 200


BAD: list[Any] = [
    *(b"", b"{", CANARY.encode(), b"[" * 60_000, b"\xff\xfe", f'{{"act": "{CANARY}"'.encode(), f'"{CANARY}"'.encode()),
    *({}, [], None, {"act": CANARY}, {"act": "act-00000001", "film": CANARY, "decisions": []}),
    {"act": "short", "film": CANARY, "decisions": [{"kind": "accept", "tag": "x"}]},
    {"act": "act-00000001", "film": "no-text", "decisions": [{"kind": CANARY, "tag": "x"}]},
    {"act": "act-00000001", "film": "no-text", "decisions": [{"kind": "accept", "tag": f"{CANARY}\u0007"}]},
    {"act": "act-00000001", "film": "no-text", "decisions": [{"kind": "accept", "tag": CANARY * 20}]},
    {"act": "act-00000001", "film": "no-text", "decisions": [{"kind": "accept", "tag": CANARY}], "more": 1},
    {"act": f"{CANARY}\n", "film": "no-text", "decisions": [{"kind": "accept", "tag": "x"}]},
    {"act": 7, "film": CANARY, "decisions": [{"kind": "accept", "tag": "x"}]},
]


@pytest.mark.parametrize("body", BAD)
def test_a_malformed_body_is_refused_without_an_echo(page: Review, ana: Client, body: Any) -> None:
    before = len(decisions(page))
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    kind = {"Content-Type": "application/json"}
    answer = ana.session.post(f"{ana.address}/decide", data=data, headers=kind, timeout=30)
    assert answer.status_code == 422
    assert CANARY not in answer.text
    assert len(decisions(page)) == before


def test_200_clients_at_once_are_all_answered(page: Review) -> None:
    start = threading.Barrier(200)

    def ask(n: int) -> int:
        client = Client(page.address)
        start.wait()
        if n % 4 == 0:
            return client.decide(f"many-{n:08}", "no-text", "accept", f"many {n}").status_code
        return client.get(["/", "/", "/film", "/tags"][n % 4], id="no-text").status_code

    with ThreadPoolExecutor(200) as pool:
        assert Counter(pool.map(ask, range(200))) == {200: 200}
    assert sum(row["act"].startswith("many-") for row in decisions(page)) == 50


def test_a_script_is_shown_as_text_wherever_it_stands(page: Review) -> None:
    client = page.client(f"Eve {SCRIPT}"[:40])
    film = str(FILMS[0]["id"])
    client.decide(new_act(), film, "add", f"mine {SCRIPT}")
    kept = client.decide(new_act(), film, "accept", f"tag {SCRIPT}").json()["html"]
    shown = client.get("/film", id=film).text
    for text in (shown, kept, client.get("/", show="all").text):
        assert "<script>alert" not in text
        assert "javascript:" not in text
    for said in (f"Evil {SCRIPT}", PLOT, f"tag {SCRIPT}", f"mine {SCRIPT}"):
        assert said in unescape(shown)
    wrong = client.session.post(f"{page.address}/reviewer", data={"name": f"{SCRIPT}\u0007"}, timeout=30)
    assert wrong.status_code == 422
    assert "<script>alert" not in wrong.text


def test_done_leads_to_the_next_film_and_undo_back(page: Review) -> None:
    client = page.client("Dora")
    first, second, *_ = film_ids(client)
    went = client.post("/leave", {"act": new_act(), "film": first, "kind": "done"}).json()
    assert went["next"].startswith("/film?id=")
    assert first not in film_ids(client)
    back = client.post("/undo", {"act": new_act()}).json()
    assert client.session.get(page.address + back["next"], timeout=30).status_code == 200
    assert film_ids(client)[:2] == [first, second]


def test_two_reviewers_are_not_sent_to_the_same_film(page: Review) -> None:
    one, two = page.client("One"), page.client("Two")
    top, second, *_ = film_ids(one)

    def leads_to_second() -> bool:
        went = two.post("/leave", {"act": new_act(), "film": top, "kind": "skip"}).json()["next"]
        return requests.utils.unquote(went).endswith(f"={second}")

    one.get("/film", id=second)
    assert not leads_to_second()
    two.post("/undo", {"act": new_act()})
    one.post("/leave", {"act": new_act(), "film": second, "kind": "skip"})
    assert leads_to_second()


def test_conflicts_are_shown(page: Review) -> None:
    one, two = page.client("Uno"), page.client("Due")
    film = film_ids(one)[5]
    one.decide(new_act(), film, "add", "disputed")
    kept = two.decide(new_act(), film, "reject", "disputed").json()["html"]
    assert "conflict</span>" in kept
    assert "Uno added it" in kept
    assert film in film_ids(one, show="conflicts")


def test_why_is_the_text_in_pieces_and_films_like_it(ana: Client) -> None:
    film = str(FILMS[0]["id"])
    shown = ana.get("/film", id=film).text
    tag = unescape(shown.split('data-kind="why"')[0].rsplit('data-tag="', 1)[1].split('"')[0])
    why = ana.get("/why", id=film, tag=tag).json()
    assert "<script>" not in why["text"]
    assert SCRIPT in unescape(re.sub(r"</?mark[^>]*>", "", why["text"]))
    assert "%" in why["html"]
    assert ana.get("/why", id=film, tag="no such tag").status_code == 404
    assert ana.get("/why", id="no-text", tag=tag).status_code == 404


def test_a_training_film_shows_what_models_say_that_had_not_seen_it(
    ana: Client, page: Review, film_tagger_folder: Path
) -> None:
    film = str(sample_films(60)[20]["id"])
    ana.get("/film", id=film)
    with sqlite3.connect(page.decisions) as connection:
        kept = dict(connection.execute("SELECT tag, score FROM suggestion WHERE film = ?", (film,)).fetchall())
    tagger = Tagger.load(film_tagger_folder)
    scores = tagger.films_.out_of_fold[tagger.films_.ids.index(film)]
    assert kept == {tag: float(scores[tagger.tags_.index(tag)]) for tag in kept}
    tag = max(kept, key=lambda tag: kept[tag])
    why = ana.get("/why", id=film, tag=tag).json()["html"]
    assert f"<strong>{round(100 * kept[tag])} %</strong>" in why
    assert sample_films(60)[20]["title"] not in unescape(why)


def test_the_result_can_be_downloaded(ana: Client) -> None:
    lines = ana.get("/export/catalogue.jsonl").text.splitlines()
    assert {json.loads(line)["id"] for line in lines} >= {film["id"] for film in FILMS}
    assert len(json.loads(ana.get("/export/label-studio.json").text)) == 61
    table = ana.get("/export/tags.csv")
    assert table.text.startswith("\ufefffilm,tag,value\n")
    assert table.headers["Content-Disposition"] == 'attachment; filename="tags.csv"'


def test_two_reviewers_and_a_kill_lose_no_decision_and_double_none(
    catalogue: Path, film_tagger_folder: Path, tmp_path: Path
) -> None:
    with Review(catalogue, film_tagger_folder, tmp_path / "review.sqlite") as page:
        clients = {name: page.client(name) for name in ("one", "two")}
        sent: dict[str, list[str]] = {name: [] for name in clients}
        answered: dict[str, list[str]] = {name: [] for name in clients}

        def save(name: str) -> None:
            for n in range(100_000):
                act = f"{name}-{n:08}"
                sent[name].append(act)
                try:
                    clients[name].decide(act, "no-text", "accept", f"tag {n}").raise_for_status()
                except requests.RequestException:
                    return
                answered[name].append(act)

        savers = [threading.Thread(target=save, args=(name,)) for name in clients]
        for saver in savers:
            saver.start()
        while min(map(len, answered.values())) < 15:
            assert all(saver.is_alive() for saver in savers)
            time.sleep(0.01)
        page.stop(signal.SIGKILL)
        for saver in savers:
            saver.join()
        page.start()
        kept = Counter(row["act"] for row in decisions(page))
        assert set(kept.values()) == {1}
        assert set(kept) >= {act for acts in answered.values() for act in acts}
        for name, acts in sent.items():
            for act in acts[-10:]:  # what a browser that got no answer sends again, and more
                assert clients[name].decide(act, "no-text", "accept", f"tag {int(act[4:])}").status_code == 200
        assert Counter(row["act"] for row in decisions(page)) == Counter(act for acts in sent.values() for act in acts)


def test_another_address_needs_the_token(catalogue: Path, film_tagger_folder: Path, tmp_path: Path) -> None:
    with Review(catalogue, film_tagger_folder, tmp_path / "r.sqlite", host="0.0.0.0", reviewer="") as page:  # noqa: S104
        assert page.token
        assert len(page.token) == 32
        stranger = Client(page.address)
        for path in (
            "/",
            "/static/page.css",
            "/film?id=no-text",
            "/poster?id=no-text",
            "/?token=",
            "/?token=wrong",
            f"/?token={page.token[:-1]}",
        ):
            answer = stranger.session.get(page.address + path, timeout=30)
            assert answer.status_code == 401
            assert not answer.cookies
        assert stranger.decide(new_act(), "no-text", "accept", "Drama").status_code == 401
        entered = stranger.get("/", token=page.token)
        assert 'content="0;url=/"' in entered.text
        cookie = entered.headers["Set-Cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        assert stranger.get("/").url.endswith("/reviewer"), "nobody is a reviewer on the network without a name"
        assert stranger.decide(new_act(), "no-text", "accept", "Drama").status_code == 403
        named = stranger.session.post(f"{page.address}/reviewer", data={"name": "Nora"}, timeout=30)
        assert "Nora" in named.text
        began = time.monotonic()
        status, errors = page.stop()
        assert status == 0
        assert time.monotonic() - began < 5
        assert page.token not in errors


def test_a_token_of_ones_own_is_never_logged(catalogue: Path, film_tagger_folder: Path, tmp_path: Path) -> None:
    token = "0123456789abcdefTOKEN"  # noqa: S105
    with Review(catalogue, film_tagger_folder, tmp_path / "r.sqlite", MOTAGS_REVIEW_TOKEN=token, LEVEL="DEBUG") as page:
        client = Client(page.address)
        assert client.get("/").status_code == 401
        assert client.get("/", token=token).status_code == 200
        assert client.get("/").status_code == 200
        (cookie,) = client.session.cookies  # a host's cookies go to all its ports, also those of other programs
        both = {"Cookie": f'odd={{"a": 1}}; {cookie.name}={token}'}
        assert requests.get(page.address, headers=both, timeout=30).status_code == 200
        status, errors = page.stop(signal.SIGTERM)
        assert status == 0
        assert "DEBUG" in errors
        assert token not in errors
    with sqlite3.connect(tmp_path / "r.sqlite") as connection:
        assert token not in "".join(connection.iterdump())


@pytest.mark.parametrize(
    ("given", "said"),
    [({"host": "192.0.2.1"}, "can't be listened on"), ({"port": 10**6}, "can't be listened on"),
     ({"catalogue": Path("none.jsonl")}, "none.jsonl is missing"), ({"reviewer": "\u0007"}, "a reviewer's name needs"),
     ({"model": Path("none")}, "none"), ({"decisions": Path("/none/r.sqlite")}, "can't be opened"),
     ({"decisions": Path("locked.sqlite")}, "locked.sqlite.lock can't be written")],
)  # fmt: skip
def test_a_mistake_is_told_before_anything_is_answered(
    catalogue: Path,
    film_tagger_folder: Path,
    tmp_path: Path,
    given: dict[str, Any],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("locked.sqlite.lock").mkdir()
    right = {"catalogue": catalogue, "model": film_tagger_folder, "decisions": tmp_path / "r.sqlite", "port": 0}
    with pytest.raises(MotagsError, match=said):
        serve(**(right | given), announce=pytest.fail)


def test_a_short_token_is_refused(
    catalogue: Path, film_tagger_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MOTAGS_REVIEW_TOKEN", "short")
    with pytest.raises(MotagsError, match="at least 16"):
        serve(catalogue, film_tagger_folder, tmp_path / "r.sqlite", announce=pytest.fail)


def test_a_port_that_is_taken_is_named(catalogue: Path, film_tagger_folder: Path, tmp_path: Path, page: Review) -> None:
    port = int(page.address.rsplit(":", 1)[1])
    with pytest.raises(MotagsError, match=f"port {port}"):
        serve(catalogue, film_tagger_folder, tmp_path / "r.sqlite", port=port, announce=pytest.fail)


def test_a_page_with_another_model_on_the_same_file_is_refused_while_the_first_is_open(
    catalogue: Path, film_tagger_folder: Path, tmp_path: Path
) -> None:
    other = tmp_path / "tagger"
    shutil.copytree(film_tagger_folder, other)
    (other / "README.md").write_text("Another model.")
    seal(other)
    first, second, later = (
        Review(catalogue, model, tmp_path / "r.sqlite") for model in (film_tagger_folder, *[other] * 2)
    )
    with first:
        with Review(catalogue, film_tagger_folder, tmp_path / "r.sqlite") as same:
            assert Client(same.address).get("/").status_code == 200
        refused = second.run()
        said, errors = refused.communicate(timeout=60)
        assert (refused.returncode, said) == (1, "")
        versions = [version_of(model) for model in (film_tagger_folder, other)]
        assert errors.splitlines()[-1] == (
            f"motags review: {tmp_path / 'r.sqlite'} is open on a page with the model {versions[0]}, this one is "
            f"{versions[1]}: stop that page first, or name another file with --decisions"
        )
        assert Client(first.address).get("/").status_code == 200
        (films := tmp_path / "others.jsonl").write_text(json.dumps({"id": 1, "title": "One", "synopsis": "A text."}))
        _, errors = Review(films, film_tagger_folder, tmp_path / "r.sqlite").run().communicate(timeout=60)
        assert "is open on a page with the catalogue" in errors.splitlines()[-1]
    with later:  # the first was killed
        assert Client(later.address).get("/").status_code == 200


def test_a_file_that_can_not_be_written_is_told_and_the_page_goes_on(
    catalogue: Path, film_tagger_folder: Path, tmp_path: Path
) -> None:
    with Review(catalogue, film_tagger_folder, tmp_path / "review.sqlite") as page:
        client = page.client("Ana")
        with sqlite3.connect(page.decisions) as other:
            other.execute("CREATE TRIGGER full BEFORE INSERT ON decision BEGIN SELECT RAISE(ABORT, 'full'); END")
        answer = client.decide(new_act(), "no-text", "accept", "Drama")
        assert answer.status_code == 503
        assert "full" in answer.json()["error"]
        assert client.get("/").status_code == 200
