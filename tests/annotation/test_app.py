from __future__ import annotations

import itertools
import json
import re

import pytest
from starlette.routing import Route
from starlette.testclient import TestClient

from jaxllm.annotation.app import make_app
from jaxllm.annotation.export import export_records


@pytest.fixture
def study(make_study):
    return make_study("pairwise", num_questions=4, num_turns=2, title="題", axes=("overall",))


def _every_request(app, visitor):
    """Every route with every method it has and some it has not, each with values that fit."""
    for route in app.routes:
        assert isinstance(route, Route), "a route of a new kind: ask it here too"
        path = route.path.replace("{position}", "1").replace("{axis}", "overall")
        for method in ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"):
            for body in ({"value": "a"}, {"text": "memo"}, {}):
                if path != "/api/logout":
                    yield path, method, visitor.http.request(method, path, json=body)


def test_no_request_tells_models_or_other_annotators(study, visit):
    codes = {name: study.add_annotator(name) for name in ("aiko", "ben-the-other")}
    ben = visit(study, codes["ben-the-other"])
    for position in range(1, 9):
        ben.rate(position, "overall", "tie")
        ben.comment(position, "secret-remark")
    aiko = visit(study, codes["aiko"])
    replies = list(_every_request(make_app(study), aiko))
    replies += [("tasks", "GET", aiko.http.get(f"/api/tasks/{n}")) for n in range(12)]
    assert sum(reply.status_code == 200 for _, _, reply in replies) > 15
    own_files = ("/page.css", "/page.js", "/task.js", "/texts.json", "/keys.js", "/server.js", "/")
    for path, method, reply in replies:
        told = reply.text + str(reply.headers)
        for hidden in ("zebra", "quokka", "ben-the-other", "secret-remark", "sqlite", "Traceback"):
            assert hidden not in told, (path, method)
        if path not in own_files:
            # Nor what the order is made from, nor which question or answer of the study this is.
            assert not re.search(r'"(model|question|answer|annotators|id|seed|secret)"', told), path
    for position in range(1, 9):
        if position > 1:
            assert aiko.task(position)["ratings"] == {}
        assert ben.task(position)["ratings"] == {"overall": "tie"}


def test_nothing_is_told_or_taken_without_a_login(study, visit):
    study.add_annotator("aiko")
    stranger = visit(study)
    for path, method, reply in _every_request(make_app(study), stranger):
        if path.startswith("/api"):
            assert reply.status_code in (400, 401, 405), (path, method, reply.text)
        assert "質問" not in reply.text or not path.startswith("/api")
    assert export_records(study) == []


def test_a_wrong_code_and_a_replaced_one_do_not_log_in(study, visit):
    code = study.add_annotator("aiko")
    stranger = visit(study)
    reply = stranger.http.post("/api/login", json={"code": "AAAA-AAAA-AAAA"})
    assert (reply.status_code, reply.json()) == (401, {"error": "no such code"})
    assert "set-cookie" not in reply.headers
    aiko = visit(study, code)
    assert aiko.http.get("/api/study").status_code == 200
    study.add_annotator("aiko")
    assert aiko.http.get("/api/study").status_code == 401
    assert stranger.http.post("/api/login", json={"code": code}).status_code == 401


def test_the_cookie_is_signed_and_for_this_site_and_the_server_alone(study, visit):
    aiko = visit(study)
    reply = aiko.http.post("/api/login", json={"code": study.add_annotator("aiko")})
    cookie = reply.headers["set-cookie"].lower()
    assert cookie.startswith(f"jaxllm_annotate_{study.id}=")
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    name, value = next(iter(aiko.http.cookies.items()))
    head, dot, tail = value.partition(".")
    forged = TestClient(make_app(study), base_url="http://127.0.0.1:8765")
    for wrong in ("", "null", f"{head[:-2]}AA{dot}{tail}", f"{value[:-1]}{'A' * 2}", head):
        forged.cookies.set(name, wrong)
        assert forged.get("/api/study").status_code == 401
    forged.cookies.set(name, value)
    assert forged.get("/api/study").status_code == 200


def test_logging_out_ends_it(study, visit):
    aiko = visit(study, study.add_annotator("aiko"))
    assert aiko.http.post("/api/logout").status_code == 200
    assert aiko.http.get("/api/study").status_code == 401


def test_a_page_left_open_does_not_write_for_who_logged_in_after_it(study, visit):
    codes = [study.add_annotator(name) for name in ("aiko", "ben")]
    browser = visit(study, codes[0])
    left_open = browser.http.headers["x-session-token"]
    browser.log_in(codes[1])
    browser.http.headers["x-session-token"] = left_open
    assert browser.rate(1, "overall", "a").status_code == 401
    assert browser.http.get("/api/tasks/1").status_code == 401
    assert export_records(study) == []


def test_pages_of_another_origin_cannot_write(study, visit):
    aiko = visit(study, study.add_annotator("aiko"))
    del aiko.http.headers["origin"]
    origins = (None, "null", "http://127.0.0.1:9999", "http://127.0.0.1", "http://evil.example")
    writes = (
        ("PUT", "/api/tasks/1/ratings/overall"),
        ("PUT", "/api/tasks/1/comment"),
        ("POST", "/api/logout"),
        ("POST", "/api/login"),
    )
    for origin, (method, path) in itertools.product(origins, writes):
        headers = {} if origin is None else {"origin": origin}
        body = {"value": "a", "text": "x", "code": "x"}
        reply = aiko.http.request(method, path, json=body, headers=headers)
        assert (reply.status_code, reply.json()) == (403, {"error": "not from this page"})
    assert export_records(study) == []
    # Behind a proxy that ends TLS the host is still the origin's.
    proxied = {"origin": "https://127.0.0.1:8765"}
    reply = aiko.http.put("/api/tasks/1/ratings/overall", json={"value": "a"}, headers=proxied)
    assert reply.status_code == 200


def test_a_name_that_was_pointed_here_is_no_host(study):
    client = TestClient(make_app(study), base_url="http://127.0.0.1:8765")
    hosts = ("evil.example", "127.0.0.1.evil.example:8765", "", "a b", "*")
    for host, path in itertools.product(hosts, ("/", "/api/study", "/none")):
        reply = client.get(path, headers={"host": host})
        assert reply.status_code == 400
        assert "content-security-policy" in reply.headers


def test_the_hosts_that_are_named_are_served(study):
    client = TestClient(make_app(study, hosts=("rate.example",)))
    assert client.get("/", headers={"host": "rate.example"}).status_code == 200
    assert client.get("/", headers={"host": "RATE.example:443"}).status_code == 200
    assert client.get("/", headers={"host": "127.0.0.1:8765"}).status_code == 400
    own = TestClient(make_app(study))
    for host in ("localhost:1", "[::1]:8765", "127.0.0.1"):
        assert own.get("/", headers={"host": host}).status_code == 200


def test_every_answer_forbids_what_is_not_the_pages_own(study, visit):
    for path, _, reply in _every_request(make_app(study), visit(study)):
        policy = reply.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
        assert "unsafe" not in policy
        assert "require-trusted-types-for 'script'; trusted-types 'none'" in policy
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert reply.headers["cache-control"] == "no-store"
        if path.startswith("/api") and reply.content:
            assert reply.headers["content-type"] in (
                "application/json",
                "text/plain; charset=utf-8",
            )


_BODIES = (
    (b"", 400),
    (b"{", 400),
    (b"[]", 400),
    (b"null", 400),
    (b'{"value": 3}', 400),
    (b'{"value": null}', 400),
    (b"\xff", 400),
    (b"[" * 60_000, 400),
    (b'{"value": "9"}', 422),
    (b'{"value": "' + b"x" * 70_000 + b'"}', 413),
)


def test_bodies_that_are_none_are_refused(study, visit):
    aiko = visit(study, study.add_annotator("aiko"))
    for content, status in _BODIES:
        reply = aiko.http.put("/api/tasks/1/ratings/overall", content=content)
        assert (reply.status_code, list(reply.json())) == (status, ["error"]), content[:20]
    assert export_records(study) == []


def test_positions_axes_and_comments_that_are_none_are_refused(study, visit):
    aiko = visit(study, study.add_annotator("aiko"))
    for position in ("0", "9", "-1", "x", "1" * 5_000, "१", "1.0", "%00"):
        assert aiko.http.get(f"/api/tasks/{position}").status_code == 404, position
        assert aiko.rate(position, "overall", "a").status_code == 404, position
    assert aiko.rate(1, "fluency", "a").status_code == 422
    assert aiko.comment(1, "x" * 5_001).status_code == 422
    assert export_records(study) == []


def test_the_page_learns_what_is_asked_and_how_far_one_is(make_study, visit):
    study = make_study(title="題", instructions="<b>よく読む</b>", axes=("fluency", "overall"))
    about = visit(study).log_in(study.add_annotator("aiko"))
    about.pop("token")
    assert about == {
        "study": study.id,
        "title": "題",
        "instructions": "<b>よく読む</b>",
        "kind": "rating",
        "axes": ["fluency", "overall"],
        "values": ["1", "2", "3", "4", "5"],
        "cannot_judge": "na",
        "max_comment": 5000,
        "annotator": "aiko",
        "progress": {"total": 6, "done": 0, "next": 1},
    }
    assert json.dumps(about)


def test_a_rating_is_in_the_file_when_the_reply_comes(study, visit):
    aiko = visit(study, study.add_annotator("aiko"))
    assert aiko.rate(3, "overall", "b").json() == {"total": 8, "done": 1, "next": 1}
    assert aiko.comment(3, "なるほど").json() == {"total": 8, "done": 1, "next": 1}
    assert aiko.task(3)["ratings"] == {"overall": "b"}
    (record,) = export_records(study)
    assert (record["ratings"], record["comment"]) == ({"overall": "b"}, "なるほど")
