"""One user's session with the official Python client.

Options come as JSON on the command line, the result goes to stdout as JSON; see flows.mjs for both.
"""

import asyncio
import json
import sys
import time
import urllib.parse
import urllib.request

import httpx2
from mcp import Client
from mcp.client.auth import OAuthClientProvider, TokenStorage
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientMetadata

OPTIONS = json.loads(sys.argv[1])
REDIRECT = "http://127.0.0.1:1/callback"
STEPS: list[str] = []


class Kept(TokenStorage):
    """What the client keeps between runs: its registration and its tokens."""

    def __init__(self):
        self.client = None
        self.tokens = []

    async def get_tokens(self):
        return self.tokens[-1] if self.tokens else None

    async def set_tokens(self, tokens):
        STEPS.append("refresh" if self.tokens else "token")
        self.tokens.append(tokens)

    async def get_client_info(self):
        return self.client

    async def set_client_info(self, client_info):
        document = client_info.client_id == OPTIONS.get("documentUrl")
        STEPS.append("client document" if document else "register")
        self.client = client_info


class Browser:
    """The person: opens the URL, comes back with the callback."""

    async def open(self, url):
        STEPS.append("authorize")
        self.callback = await asyncio.to_thread(self.visit, url)

    @staticmethod
    def visit(url):
        with urllib.request.urlopen(OPTIONS["browser"], data=url.encode()) as answer:
            return answer.read().decode()

    async def come_back(self):
        query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.callback).query)
        found = {name: values[0] for name, values in query.items()}
        return AuthorizationCodeResult(
            code=found["code"], state=found.get("state"), iss=found.get("iss")
        )


def login(kept):
    browser = Browser()
    return OAuthClientProvider(
        server_url=OPTIONS["url"],
        client_metadata=OAuthClientMetadata(
            client_name=OPTIONS["clientName"],
            redirect_uris=[REDIRECT],
            grant_types=["authorization_code", "refresh_token"],
            response_types=["code"],
            token_endpoint_auth_method="none",
        ),
        storage=kept,
        redirect_handler=browser.open,
        callback_handler=browser.come_back,
        client_metadata_url=OPTIONS.get("documentUrl"),
    )


class Connection:
    """A connected client, as one thing to enter."""

    def __init__(self, kept):
        self.login = login(kept)
        self.http = httpx2.AsyncClient(auth=self.login, timeout=60)

    async def __aenter__(self):
        await self.http.__aenter__()
        transport = streamable_http_client(OPTIONS["url"], http_client=self.http)
        self.client = Client(transport, mode="legacy" if OPTIONS["legacy"] else "auto")
        await self.client.__aenter__()
        STEPS.append("connect")
        return self

    async def __aexit__(self, *exception):
        await self.client.__aexit__(*exception)
        await self.http.__aexit__(*exception)


async def call(connection, name, arguments):
    result = await connection.client.call_tool(name, arguments)
    if result.is_error:
        raise RuntimeError(f"{name}: {result.content}")
    STEPS.append(name)
    return result.structured_content


async def until_refreshed(connection, kept):
    """Calls until the client refreshed its token; what a refused call says is kept.

    This client refreshes when its own clock says so, and answers a 401 with a new login. Where the
    issuer ends a token to the second (`quiet`), nothing is called in the last one.
    """
    deadline = time.monotonic() + 60
    refused = []
    if OPTIONS["aging"]:
        # The token's hour is over.
        connection.login.context.token_expiry_time = time.time() - 1
    while OPTIONS["quiet"] and connection.login.context.is_token_valid():
        await asyncio.sleep(0.1)
    while len(kept.tokens) < 2:
        if time.monotonic() > deadline:
            raise RuntimeError(f"no refresh after a minute: {refused[:1]}")
        result = await connection.client.call_tool("list_projects", {})
        if result.is_error:
            refused.append(result.content[0].text)
        await asyncio.sleep(0.1)
    return refused


async def main():
    kept = Kept()
    async with Connection(kept) as connection:
        tools = await connection.client.list_tools()
        projects = await call(connection, "list_projects", {})
        requirement = await call(connection, "create_requirement", OPTIONS["requirement"])
        refused = await until_refreshed(connection, kept)
        await call(connection, "list_projects", {})
    # The next day: a new process of the same user, with what the first one kept.
    async with Connection(kept) as connection:
        protocol = connection.client.protocol_version
        await call(connection, "list_projects", {})
    print(
        json.dumps(
            {
                "protocol": protocol,
                "steps": STEPS,
                "refused": refused,
                "projects": projects,
                "requirement": requirement,
                "tools": [tool.name for tool in tools.tools],
                "client": kept.client.model_dump(mode="json", exclude_none=True),
                "tokens": [tokens.model_dump(mode="json") for tokens in kept.tokens],
            }
        )
    )


asyncio.run(main())
