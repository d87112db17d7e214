"""A second implementation of token exchange (RFC 8693): idpyoidc, of the Identity Python community.

Usage: exchange_provider.py RESOURCE API EXCHANGER_SECRET

Serves its metadata, keys, authorization and token endpoints on a free loopback port and prints the
issuer. Everybody is logged in as the same user, for whom nobody is asked.
"""

import json
import secrets
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

from idpyoidc.server import Server
from idpyoidc.server.authz import AuthzHandling
from idpyoidc.server.configure import OPConfiguration
from idpyoidc.server.oauth2.token_helper import validate_token_exchange_policy
from idpyoidc.server.oauth2.token_helper.token_exchange import TokenExchangeHelper
from idpyoidc.server.oidc.authorization import Authorization
from idpyoidc.server.oidc.provider_config import ProviderConfiguration
from idpyoidc.server.oidc.token import Token
from idpyoidc.server.token.jwt_token import JWTToken
from idpyoidc.server.user_authn.user import NoAuthn
from idpyoidc.server.user_info import UserInfo

RESOURCE, API, SECRET = sys.argv[1:4]
CLIENT, EXCHANGER = "client", "exchanger"
USER, ORGANIZATION = "somebody", "org_1"
REDIRECT = "http://127.0.0.1/callback"
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"


class AccessToken(JWTToken):
    """Its access tokens, with whom they are for and the organization of the user."""

    def load_custom_claims(self, payload=None):
        audience = API if payload["client_id"] == EXCHANGER else RESOURCE
        return {**payload, "aud": [audience], "org_id": ORGANIZATION}


def path(part):
    """How its configuration names a class."""
    return f"{part.__module__}.{part.__qualname__}"


def configuration(issuer):
    exchange = {
        "class": path(TokenExchangeHelper),
        "kwargs": {
            "subject_token_types_supported": [ACCESS_TOKEN],
            "requested_token_types_supported": [ACCESS_TOKEN],
            "policy": {"": {"function": validate_token_exchange_policy, "kwargs": {"audience": [API]}}},
        },
    }
    rules = {
        "authorization_code": {"supports_minting": ["access_token"], "max_usage": 1},
        "access_token": {"supports_minting": ["access_token"], "expires_in": 600},
    }
    cipher = {"password": secrets.token_hex(16), "salt": secrets.token_hex(8), "iterations": 1}
    return {
        "issuer": issuer,
        "subject_types_supported": ["public"],
        "keys": {"uri_path": "jwks.json", "key_defs": [{"type": "EC", "crv": "P-256", "use": ["sig"]}]},
        "endpoint": {
            "provider_config": {
                "path": ".well-known/openid-configuration", "class": path(ProviderConfiguration), "kwargs": {},
            },
            "authorization": {"path": "authorization", "class": path(Authorization), "kwargs": {}},
            "token": {
                "path": "token", "class": path(Token),
                "kwargs": {
                    "client_authn_method": ["client_secret_basic"],
                    "grant_types_supported": {"authorization_code": True, EXCHANGE: exchange},
                },
            },
        },
        "authentication": {"nobody": {"acr": "nobody", "class": path(NoAuthn), "kwargs": {"user": USER}}},
        "userinfo": {"class": path(UserInfo), "kwargs": {"db": {USER: {}}}},
        "authz": {"class": path(AuthzHandling), "kwargs": {"grant_config": {"usage_rules": rules, "expires_in": 3600}}},
        "token_handler_args": {
            "code": {"lifetime": 60, "kwargs": {"crypt_conf": {"kwargs": cipher}}},
            "token": {"class": path(AccessToken), "kwargs": {"lifetime": 600}},
            "id_token": {"class": "idpyoidc.server.token.id_token.IDToken", "kwargs": {}},
        },
        "session_params": {"encrypter": {"kwargs": cipher}},
    }


def clients():
    common = {
        "redirect_uris": [(REDIRECT, None)], "response_types": ["code"], "client_salt": "salt",
        "token_endpoint_auth_method": "client_secret_basic", "allowed_scopes": ["openid"],
    }
    return {name: {**common, "client_secret": SECRET} for name in [CLIENT, EXCHANGER]}


class Handler(BaseHTTPRequestHandler):
    """HTTP around its endpoints, which know of none."""

    issuer = None

    def answer(self, status, body, headers=()):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def go(self, form):
        path = urlsplit(self.path).path.lstrip("/")
        if path == "jwks.json":
            keys = self.issuer.keyjar.export_jwks()
            return self.answer(200, json.dumps(keys).encode(), [("content-type", "application/json")])
        found = [it for it in self.issuer.endpoint.values() if it.endpoint_path == path]
        if not found:
            return self.answer(404, b"")
        endpoint = found[0]
        http_info = {
            "headers": {name.lower(): value for name, value in self.headers.items()},
            "method": self.command, "url": self.path,
        }
        request = endpoint.parse_request(form, http_info=http_info)
        done = request if "error" in request else endpoint.process_request(request, http_info=http_info)
        made = endpoint.do_response(request=request, **(done if isinstance(done, dict) else done.to_dict()))
        headers = list(made.get("http_headers", []))
        body = made["response"]
        if path == "authorization":
            return self.answer(302, b"", [("location", body)])
        status = 400 if "error" in json.loads(body) else 200
        return self.answer(status, body.encode(), headers)

    def do_GET(self):
        self.go(dict(parse_qsl(urlsplit(self.path).query)))

    def do_POST(self):
        length = int(self.headers.get("content-length", 0))
        self.go(dict(parse_qsl(self.rfile.read(length).decode())))


def main():
    web = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    issuer = f"http://127.0.0.1:{web.server_port}"
    Handler.issuer = Server(OPConfiguration(conf=configuration(issuer), base_path="."))
    Handler.issuer.context.cdb = clients()
    # It looks for the keys of the tokens that it is shown under its own name too.
    Handler.issuer.keyjar.import_jwks(Handler.issuer.keyjar.export_jwks(private=True), issuer)
    print(issuer, flush=True)
    web.serve_forever()


main()
