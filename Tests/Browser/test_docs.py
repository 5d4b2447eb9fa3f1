"""The docs page in a real browser: it renders, calls with a credential, and keeps its own content policy."""

import json

from harness import API_KEY


def open_docs(platform, watched, path="/docs"):
    origin = f"http://{platform.edge.addresses['http']}"
    watched.page.goto(origin + path)
    watched.page.wait_for_selector(".opblock", timeout=20_000)
    return origin


def authorize(page):
    page.click("button.authorize")
    box = page.locator(".auth-container", has_text="X-API-Key")
    box.locator("input").fill(API_KEY)
    box.locator("button[type=submit]").click()
    page.click("button.btn-done")


def execute(page, operation):
    """Runs an operation as it stands there; the status and body it shows."""
    block = page.locator(f"#operations-Store-{operation}")
    block.locator(".opblock-summary-control").click()
    block.locator("button.execute").click()
    live = block.locator(".live-responses-table .response")
    live.wait_for(timeout=10_000)
    return live.locator(".response-col_status").inner_text().split()[0], live.inner_text()


def test_renders(platform, watched, screenshots):
    origin = open_docs(platform, watched)
    page = watched.page
    document = json.loads(platform.request("GET", "/openapi.json")[2])
    expected = sum(len(item) for item in document["paths"].values())
    assert page.locator(".opblock").count() == expected
    assert page.title() == "Mainstreet API"
    page.screenshot(path=screenshots / "docs.png")
    assert watched.complaints == []
    assert {request.url.startswith(origin) for request in watched.requests} == {True}


def test_is_at_the_older_paths(platform, watched):
    for path in ("/api", "/api/v1/docs"):
        open_docs(platform, watched, path)
    assert watched.complaints == []


def test_makes_an_authorised_call(platform, watched, screenshots):
    open_docs(platform, watched)
    page = watched.page
    authorize(page)
    status, _ = execute(page, "createStore")
    assert status == "201"
    status, shown = execute(page, "listStores")
    assert status == "200"
    assert '"externalId": "external id"' in shown
    calls = [request for request in watched.requests if request.url.split("?")[0].endswith("/stores")]
    assert [call.headers.get("x-api-key") for call in calls] == [API_KEY, API_KEY]
    page.locator("#operations-Store-listStores").screenshot(path=screenshots / "docs-list-stores.png")
    assert watched.complaints == []
