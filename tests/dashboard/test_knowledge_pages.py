"""Stories of documents on the pages, in a browser without scripts."""

import re

import pytest
from tests.dashboard.conftest import Browser, Office, until

from metachat.domain.accounts import Role

HOURS = b"# Opening hours\n\nOur shop in Graz is open from Monday to Friday, 9 to 18.\n"
LATER = b"# Opening hours\n\nOur shop in Graz is open every day until 22.\n"


async def uploads(browser: Browser, name: str, content: bytes) -> None:
    """Send a file by the form of the page."""
    await browser.opens("/dashboard/knowledge")
    await browser.sends("/dashboard/knowledge", files=[("file", (name, content))])


async def reads(browser: Browser, name: str) -> str:
    """Wait until a document is ready, and open it; gives its address."""

    async def is_ready() -> bool:
        await browser.opens("/dashboard/knowledge/list")
        return "Ready" in browser.text

    await until(is_ready)
    address = address_of(browser, name)
    await browser.opens(address)
    return address


def address_of(browser: Browser, name: str) -> str:
    """The address of a document that the page lists."""
    found = re.search(rf'href="(/dashboard/knowledge/[0-9a-f-]{{36}})">{re.escape(name)}<', browser.page.text)
    assert found, browser.text
    return found.group(1)


async def test_an_empty_list_teaches_what_to_do(acme: Office) -> None:
    browser = await acme.enters(Role.ADMIN)
    await browser.opens("/dashboard/knowledge")
    assert "No documents yet" in browser.text
    assert 'type="file"' in browser.page.text


@pytest.mark.usefixtures("worker")
async def test_a_document_is_uploaded_read_replaced_and_deleted(acme: Office) -> None:
    browser = await acme.enters(Role.ADMIN)
    await uploads(browser, "hours.md", HOURS)
    assert "“hours.md” is uploaded" in browser.text
    address = await reads(browser, "hours.md")
    assert "open from Monday to Friday" in browser.text

    await browser.opens(f"{address}/replace")
    await browser.sends(f"{address}/replace", files=[("file", ("other name.md", LATER))])

    async def is_replaced() -> bool:
        await browser.opens(address)
        return "every day until 22" in browser.text

    await until(is_replaced)
    assert "Version 2" in browser.text
    assert "Monday" not in browser.text

    await browser.opens(f"{address}/delete")
    assert "Delete “hours.md”?" in browser.text
    await browser.sends(f"{address}/delete")
    assert "“hours.md” is deleted." in browser.text
    assert "No documents yet" in browser.text
    assert (await browser.opens(address)).status_code == 404


async def test_a_file_that_cannot_be_read_says_why(acme: Office) -> None:
    browser = await acme.enters(Role.ADMIN)
    await uploads(browser, "holiday.exe", b"MZ" + bytes(100))
    assert "This kind of file cannot be read; use pdf" in browser.text
    await uploads(browser, "report.docx", b"just text")
    assert "The file is not what its extension says." in browser.text
    await browser.opens("/dashboard/knowledge")
    await browser.sends("/dashboard/knowledge", files=[("file", ("", b""))])
    assert "Choose a file first." in browser.text


async def test_an_upload_without_its_token_is_refused(acme: Office) -> None:
    browser = await acme.enters(Role.ADMIN)
    answer = await browser.client.post("/dashboard/knowledge", files=[("file", ("hours.md", HOURS))])
    assert answer.status_code == 403
    await browser.opens("/dashboard/knowledge")
    assert "No documents yet" in browser.text


async def test_an_upload_that_is_too_large_is_refused_before_it_is_read(acme: Office) -> None:
    browser = await acme.enters(Role.ADMIN)
    await browser.opens("/dashboard/knowledge")
    length = str((acme.platform.settings.upload_limit + 2) * 1024 * 1024)
    headers = {"Content-Length": length, "Content-Type": "multipart/form-data; boundary=x"}
    answer = await browser.client.post(
        "/dashboard/knowledge", content=b"--x--", headers=headers, follow_redirects=True
    )
    assert "The file is larger than allowed." in answer.text


@pytest.mark.parametrize("role", [Role.AGENT, Role.VIEWER])
async def test_who_only_reads_uploads_and_deletes_nothing(acme: Office, role: Role) -> None:
    manager, reader = await acme.enters(Role.ADMIN), await acme.enters(role)
    await uploads(manager, "hours.md", HOURS)
    await manager.opens("/dashboard/knowledge")
    address = address_of(manager, "hours.md")
    page = await reader.opens("/dashboard/knowledge")
    assert "hours.md" in reader.text
    assert 'type="file"' not in page.text
    assert (await reader.opens(f"{address}/delete")).status_code == 403
    await reader.opens(address)
    assert (await reader.sends(f"{address}/delete")).status_code == 403
    await reader.opens("/dashboard/knowledge")
    assert (await reader.sends("/dashboard/knowledge", files=[("file", ("x.md", HOURS))])).status_code == 403


@pytest.mark.usefixtures("worker")
async def test_a_stranger_sees_no_document_and_no_passage(acme: Office, rival: Office) -> None:
    browser, stranger = await acme.enters(Role.OWNER), await rival.enters(Role.OWNER)
    await uploads(browser, "hours.md", HOURS)
    address = await reads(browser, "hours.md")
    passage = re.search(r'id="passage-(\d+)"', browser.page.text)
    assert passage
    of_passage = f"/dashboard/passages/{passage.group(1)}"
    assert (await browser.opens(of_passage)).status_code == 200
    for path in (address, f"{address}/delete", f"{address}/replace", of_passage):
        assert (await stranger.opens(path)).status_code == 404, path
    await stranger.opens("/dashboard/knowledge")
    assert (await stranger.sends(f"{address}/delete")).status_code == 404
    assert (await browser.opens(address)).status_code == 200
