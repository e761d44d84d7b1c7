"""Stories at the doors: who gets in, who does not, and what a stranger learns."""

import pytest
from tests.dashboard.conftest import PASSWORD, Office

from metachat.domain.accounts import Role

EVERY_PAGE = [
    "/dashboard", "/dashboard/knowledge", "/dashboard/chat", "/dashboard/conversations", "/dashboard/keys",
    "/dashboard/keys/new", "/dashboard/members", "/dashboard/members/new", "/dashboard/account",
    "/dashboard/assistant",
]  # fmt: skip
FOR_MANAGERS = [page for page in EVERY_PAGE if page.split("/")[2:3] in (["keys"], ["members"], ["assistant"])]


async def test_the_front_door_leads_to_the_sign_in_and_on_to_the_overview(acme: Office) -> None:
    browser = acme.browser()
    await browser.opens("/")
    assert browser.page.url.path == "/sign-in"
    await browser.sends("/sign-in", email="owner@acme.example", password=PASSWORD)
    assert browser.page.url.path == "/dashboard"
    assert "Owner Acme" in browser.text


async def test_the_sign_in_leads_back_to_the_page_that_was_wanted(acme: Office) -> None:
    browser = acme.browser()
    await browser.opens("/dashboard/members")
    assert browser.page.url.path == "/sign-in"
    wanted = browser.page.url.params["next"]
    await browser.sends("/sign-in", email="owner@acme.example", password=PASSWORD, next=wanted)
    assert browser.page.url.path == "/dashboard/members"


@pytest.mark.parametrize(
    "elsewhere", ["https://evil.example/", "//evil.example", "/\\evil.example", "/sign-out"]
)
async def test_the_sign_in_leads_nowhere_else(acme: Office, elsewhere: str) -> None:
    browser = acme.browser()
    await browser.opens("/sign-in")
    await browser.sends("/sign-in", email="owner@acme.example", password=PASSWORD, next=elsewhere)
    assert browser.page.url.path == "/dashboard"


@pytest.mark.parametrize("email", ["owner@acme.example", "nobody@acme.example"])
async def test_a_wrong_password_and_an_unknown_address_look_the_same(acme: Office, email: str) -> None:
    browser = acme.browser()
    await browser.opens("/sign-in")
    await browser.sends("/sign-in", email=email, password="wrong password")
    assert browser.page.status_code == 401
    assert "E-mail address or password is wrong." in browser.text
    assert f'value="{email}"' in browser.page.text


async def test_who_signs_out_is_out(acme: Office) -> None:
    browser = await acme.enters(Role.OWNER)
    await browser.sends("/sign-out")
    assert "You are signed out." in browser.text
    await browser.opens("/dashboard")
    assert browser.page.url.path == "/sign-in"


@pytest.mark.parametrize("role", list(Role))
async def test_every_page_opens_for_whom_it_is_meant(acme: Office, role: Role) -> None:
    browser = await acme.enters(role)
    for path in EVERY_PAGE:
        page = await browser.opens(path)
        refused = path in FOR_MANAGERS and not role.covers(Role.ADMIN)
        assert page.status_code == (403 if refused else 200), path
        if refused:
            assert "Your role does not allow this." in browser.text


async def test_pages_carry_no_inline_script_or_style(acme: Office) -> None:
    browser = await acme.enters(Role.OWNER)
    for path in EVERY_PAGE:
        page = await browser.opens(path)
        assert "<style" not in page.text
        assert " style=" not in page.text
        assert " onclick=" not in page.text
        assert "script-src 'self'" in page.headers["content-security-policy"]
        assert "unsafe" not in page.headers["content-security-policy"]
        assert page.headers["cache-control"] == "no-store"


async def test_a_form_without_its_token_does_nothing(acme: Office) -> None:
    browser = await acme.enters(Role.OWNER)
    answer = await browser.client.post("/dashboard/keys", data={"name": "sly", "scopes": "ask", "days": "30"})
    assert answer.status_code == 403
    assert "The form has expired" in answer.text
    await browser.opens("/dashboard/keys")
    assert "sly" not in browser.text


async def test_what_is_not_there_is_a_page_with_a_way_back(acme: Office) -> None:
    browser = await acme.enters(Role.OWNER)
    page = await browser.opens("/dashboard/nothing/here")
    assert page.status_code == 404
    assert "Nothing here" in browser.text
    assert 'href="/dashboard"' in page.text


async def test_a_broken_page_names_its_request_and_hides_the_rest(
    acme: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    browser = await acme.enters(Role.OWNER)

    async def fails(*_: object, **__: object) -> None:
        raise RuntimeError("the secret inside")

    monkeypatch.setattr("metachat.domain.accounts.list_keys", fails)
    page = await browser.opens("/dashboard/keys")
    assert page.status_code == 500
    assert page.headers["x-request-id"] in page.text
    assert "secret inside" not in page.text


async def test_static_files_stay_with_the_browser_for_a_year(acme: Office) -> None:
    browser = acme.browser()
    page = await browser.opens("/sign-in")
    address = page.text.split('rel="stylesheet" href="')[1].split('"')[0]
    packed = await browser.client.get(address, headers={"Accept-Encoding": "gzip"})
    assert packed.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert packed.headers["content-encoding"] == "gzip"
    plain = await browser.client.get(address, headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert plain.text == packed.text
    old = await browser.client.get(address.replace(address.split("/")[2], "0" * 12))
    assert old.headers["cache-control"] == "no-cache"
    assert (await browser.client.get("/static/x/..%2f..%2fpages.py")).status_code == 404


async def test_one_changes_ones_own_password(acme: Office) -> None:
    browser = await acme.enters(Role.AGENT)
    await browser.opens("/dashboard/account")
    await browser.sends("/dashboard/account/password", present="wrong password", new="another good password")
    assert browser.page.status_code == 401
    await browser.sends("/dashboard/account/password", present=PASSWORD, new="short")
    assert "at least 10 characters" in browser.text
    await browser.sends("/dashboard/account/password", present=PASSWORD, new="another good password")
    assert "Your password is changed." in browser.text
    again = acme.browser()
    await again.opens("/sign-in")
    await again.sends("/sign-in", email="agent@acme.example", password="another good password")
    assert again.page.url.path == "/dashboard"


async def test_colours_are_remembered(acme: Office) -> None:
    browser = await acme.enters(Role.VIEWER)
    await browser.sends("/dashboard/theme", theme="dark", back="/dashboard/chat")
    assert browser.page.url.path == "/dashboard/chat"
    assert 'data-theme="dark"' in browser.page.text
    await browser.sends("/dashboard/theme", theme="system", back="/dashboard/chat")
    assert "data-theme=" not in browser.page.text


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"/dashboard/passages/{10**30}", 422),
        ("/dashboard/passages/x", 404),
        ("/dashboard/conversations?q=%00", 200),
        ("/dashboard/conversations?state=nonsense", 200),
        ("/dashboard/keys/x/revoke", 404),
    ],
)
async def test_strange_addresses_are_no_accident(acme: Office, path: str, status: int) -> None:
    browser = await acme.enters(Role.OWNER)
    assert (await browser.opens(path)).status_code == status
    assert "metachat" in browser.text


async def test_text_that_cannot_be_stored_is_refused_calmly(acme: Office) -> None:
    browser = await acme.enters(Role.OWNER)
    await browser.opens("/dashboard/keys/new")
    await browser.sends("/dashboard/keys", name="a\x00b", scopes="ask", days="30")
    assert browser.page.status_code == 422
