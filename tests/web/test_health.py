"""Health tells the truth, and every answer carries what no answer goes without."""

import httpx


async def test_a_process_that_runs_is_live_and_ready(nobody: httpx.AsyncClient) -> None:
    assert (await nobody.get("/health/live")).status_code == 200
    ready = await nobody.get("/health/ready")
    assert (ready.status_code, ready.json()["status"]) == (200, "ready")


async def test_answers_carry_ids_and_security_headers(nobody: httpx.AsyncClient) -> None:
    answer = await nobody.get("/health/live", headers={"X-Request-ID": "from-the-proxy-1"})
    assert answer.headers["x-request-id"] == "from-the-proxy-1"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"


async def test_an_id_that_could_break_a_log_line_is_replaced(nobody: httpx.AsyncClient) -> None:
    answer = await nobody.get("/health/live", headers={"X-Request-ID": "two words"})
    assert answer.headers["x-request-id"] != "two words"


async def test_errors_are_problem_documents(nobody: httpx.AsyncClient) -> None:
    missing = await nobody.get("/nowhere")
    assert missing.status_code == 404
    assert missing.headers["content-type"] == "application/problem+json"
    assert missing.json()["code"] == "not_found"
    wrong = await nobody.post("/health/live")
    assert (wrong.status_code, wrong.json()["code"]) == (405, "method_not_allowed")
    assert "GET" in wrong.headers["allow"]


async def test_a_lost_browser_gets_a_page_and_a_program_a_document(nobody: httpx.AsyncClient) -> None:
    browser = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    page = await nobody.get("/nowhere", headers=browser)
    assert (page.status_code, page.headers["content-type"].partition(";")[0]) == (404, "text/html")
    document = await nobody.get("/api/v1/tenant", headers=browser)
    assert (document.status_code, document.headers["content-type"]) == (401, "application/problem+json")


async def test_what_answers_get_answers_head(nobody: httpx.AsyncClient) -> None:
    assert (await nobody.head("/health/live")).status_code == 200


async def test_metrics_stay_on_the_machine(nobody: httpx.AsyncClient) -> None:
    await nobody.get("/health/live")
    here = await nobody.get("/metrics")
    assert 'route="/health/live"' in here.text
    forwarded = await nobody.get("/metrics", headers={"X-Forwarded-For": "203.0.113.9"})
    assert forwarded.status_code == 404
