//! Endpoints of tenants below the endpoint, over real sockets: where they are, what is said of them, and
//! whose tokens are good there.

use std::{error::Error, sync::Arc};

use mcp_auth::{IssuerConfig, TokenVerifier, VerifierConfig};
use mcp_session::{Keyring, MemoryStore, SessionTiers};
use mcp_test_support::{
    Issuer, TokenBuilder,
    client::{Generation, RawAnswer, RawHttp, RawRequest},
    http_client,
};
use mcp_transport_http::{HttpConfig, HttpServer, TenantAudience, TenantEndpoints};
use rmcp::{ErrorData, RoleServer, ServerHandler, model, service::RequestContext};
use serde_json::{Value, json};
use tokio::net::TcpListener;

type Result<T = ()> = std::result::Result<T, Box<dyn Error>>;

/// Who calls, and at which endpoint.
#[derive(Clone)]
struct Caller(String);

/// `who` says who calls.
#[derive(Clone)]
struct Tools;

impl ServerHandler for Tools {
    fn get_info(&self) -> model::ServerConfig {
        let tools = model::ServerCapabilities::builder().enable_tools().build();
        model::ServerConfig::new(tools)
    }

    fn get_tool(&self, name: &str) -> Option<model::Tool> {
        let schema = Arc::new(model::JsonObject::new());
        ["who", "may_not"]
            .contains(&name)
            .then(|| model::Tool::new(name.to_owned(), "", schema))
    }

    async fn call_tool(
        &self,
        _: model::CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> std::result::Result<model::CallToolResponse, ErrorData> {
        let parts = context.extensions.get::<http::request::Parts>();
        let caller = parts.and_then(|parts| parts.extensions.get::<Caller>());
        let text = caller.map_or("nobody", |Caller(text)| text);
        Ok(model::CallToolResult::success(vec![model::ContentBlock::text(text)]).into())
    }
}

struct World {
    /// Where it listens, without a path.
    base: String,
    resource: String,
    issuer: Issuer,
}

impl World {
    /// Below `prefix`, on the fast path or only on the SDK's, for these tokens.
    async fn start(prefix: &str, direct: bool, audience: TenantAudience) -> Result<Self> {
        let issuer = Issuer::start().await?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let base = format!("http://{}", listener.local_addr()?);
        let mut config = HttpConfig::new(&format!("{base}{prefix}"), [issuer.url()])?;
        config.scopes_supported = vec!["read".to_owned()];
        let resource = config.resource.clone();
        issuer.set_audience([resource.as_str()]);
        let mut trusted = IssuerConfig::new(issuer.url(), [&*resource, "also-us"]);
        trusted.organization_required = false;
        trusted.resources_below = Some(resource.clone());
        let verifier = TokenVerifier::new(vec![trusted], http_client(), VerifierConfig::default())?;
        let store = Arc::new(MemoryStore::default());
        let sessions = SessionTiers::builder(verifier, Keyring::random(), store).build();
        let tenants = TenantEndpoints::new(|session, _, at| {
            let subject = session.principal().subject();
            Caller(format!("{subject} of {} at {:?}", at.tenant(), at.part()))
        });
        let tenants = tenants
            .with_parts(|part| part.starts_with("P-"))
            .for_tokens(audience);
        let mut server = HttpServer::new(config, sessions, Tools, |session, _| {
            Caller(session.principal().subject().to_owned())
        })
        .with_tenants(tenants)
        .with_scope_rule(|request, granted| match request.tool.as_deref() {
            Some("may_not") if !granted.iter().any(|it| it == "rare") => {
                Err(vec!["rare".to_owned()])
            }
            _ => Ok(()),
        });
        if direct {
            server = server.with_direct_tools(["who", "may_not"]);
        }
        tokio::spawn(server.serve(listener, std::future::pending()));
        Ok(Self {
            base,
            resource,
            issuer,
        })
    }

    fn at(&self, path: &str) -> RawHttp {
        RawHttp::new(format!("{}{path}", self.base))
    }

    /// Ada's token for this organization.
    fn token(&self, organization: &str) -> TokenBuilder {
        self.issuer
            .token()
            .subject("ada")
            .organization(organization)
    }

    async fn who(&self, path: &str, token: &str) -> RawAnswer {
        let call = self.at(path).call(Generation::Modern, "who", &json!({}));
        call.bearer(token).send().await.unwrap()
    }

    async fn metadata(&self, path: &str) -> (u16, Value) {
        let answer = http_client().get(format!("{}{path}", self.base)).send();
        let answer = answer.await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.json().await.unwrap_or_default())
    }
}

/// What the tool said, or the status.
fn said(answer: &RawAnswer) -> std::result::Result<&str, u16> {
    let text = answer
        .result()
        .and_then(|it| it["content"][0]["text"].as_str());
    text.ok_or(answer.status.as_u16())
}

const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

#[tokio::test]
async fn every_endpoint_has_metadata_of_its_own_wherever_the_public_url_leads() {
    for prefix in ["", "/x", "/x/y"] {
        let world = World::start(prefix, true, TenantAudience::OwnOrAbove)
            .await
            .unwrap();
        let resource = &world.resource;
        assert_eq!(*resource, format!("{}{prefix}/mcp", world.base));
        for (path, below) in [
            ("/mcp", ""),
            ("", ""),
            ("/mcp/acme", "/acme"),
            ("/mcp/acme/", "/acme"),
            ("//mcp//acme", "/acme"),
            ("/MCP/acme", "/acme"),
            ("/mcp/Acme", "/Acme"),
            ("/mcp/%61cme", "/acme"),
            ("/mcp/acme/P-1", "/acme/P-1"),
            ("/mcp/org_01HXYZ", "/org_01HXYZ"),
        ] {
            // Where RFC 9728 has it, and where proxies lead that hand the prefix on or take it off.
            for form in [
                format!("{WELL_KNOWN}{prefix}{path}"),
                format!("{WELL_KNOWN}{path}"),
                format!("{prefix}{WELL_KNOWN}{path}"),
            ] {
                let (status, document) = world.metadata(&form).await;
                assert_eq!(status, 200, "{form}");
                assert_eq!(document["resource"], format!("{resource}{below}"), "{form}");
                assert_eq!(
                    document["authorization_servers"],
                    json!([world.issuer.url()])
                );
                assert_eq!(document["scopes_supported"], json!(["read"]));
            }
        }
        for none in [
            "/mcp/acme/p-1",
            "/mcp/acme/P-1/more",
            "/mcp/.hidden",
            "/mcp/a%20b",
            "/mcp/a%2Fb",
            "/mcp/a:b",
            "/mcp/%C3%A9",
            "/mcp/..%2Facme",
            "/acme",
            "/mcp/acme%00",
        ] {
            let form = format!("{WELL_KNOWN}{prefix}{none}");
            assert_eq!(world.metadata(&form).await.0, 404, "{form}");
            let endpoint = format!("{prefix}{none}");
            assert_eq!(world.who(&endpoint, "x").await.status, 404, "{endpoint}");
        }
    }
}

#[tokio::test]
async fn a_challenge_names_the_metadata_of_the_endpoint_that_was_asked() {
    let world = World::start("/x", true, TenantAudience::OwnOrAbove)
        .await
        .unwrap();
    let good = world.token("acme").mint();
    for path in ["/mcp", "/mcp/acme", "/mcp/acme/P-1"] {
        let asked = format!("/x{path}");
        let named = format!("resource_metadata=\"{}{WELL_KNOWN}{asked}\"", world.base);
        let who = || world.at(&asked).call(Generation::Modern, "who", &json!({}));
        let rare = || {
            world
                .at(&asked)
                .call(Generation::Legacy, "may_not", &json!({}))
        };
        let batch =
            json!([Generation::Legacy.message(1, "tools/call", json!({"name": "may_not"}))]);
        let batch = rare()
            .header("mcp-protocol-version", "2025-03-26")
            .body(batch.to_string());
        let tampered = world.token("acme").tampered().mint();
        for (request, status, error) in [
            (who(), 401, ""),
            (who().bearer(&tampered), 401, "error=\"invalid_token\""),
            (rare().bearer(&good), 403, "scope=\"rare\""),
            (batch.bearer(&good), 403, "scope=\"rare\""),
        ] {
            let answer = request.send().await.unwrap();
            assert_eq!(answer.status, status, "{path}: {}", answer.body);
            let challenge = answer.header("www-authenticate").unwrap_or_default();
            assert!(challenge.contains(&named), "{path}: {challenge}");
            assert!(challenge.contains(error), "{path}: {challenge}");
        }
    }
}

#[tokio::test]
async fn both_ways_and_all_revisions_find_the_tenants_caller() {
    for direct in [true, false] {
        let world = World::start("", direct, TenantAudience::OwnOrAbove)
            .await
            .unwrap();
        let token = world.token("acme").mint();
        for (path, expected) in [
            ("/mcp", "ada"),
            ("/mcp/", "ada"),
            ("/mcp/acme", "ada of acme at None"),
            ("//mcp//acme/", "ada of acme at None"),
            ("/Mcp/%61cme", "ada of acme at None"),
            ("/mcp/acme/P-1", "ada of acme at Some(\"P-1\")"),
        ] {
            for generation in Generation::BOTH {
                let call = world.at(path).call(generation, "who", &json!({}));
                let answer = call.bearer(&token).send().await.unwrap();
                assert_eq!(
                    said(&answer),
                    Ok(expected),
                    "{path} {generation:?} {}",
                    answer.body
                );
            }
            let call = Generation::Legacy.message(7, "tools/call", json!({"name": "who"}));
            let request = world.at(path).call(Generation::Legacy, "who", &json!({}));
            let request = request.header("mcp-protocol-version", "2025-03-26");
            let batch: RawRequest = request.body(json!([call, call]).to_string());
            let answer = batch.bearer(&token).send().await.unwrap();
            let texts: Vec<_> = answer
                .json
                .iter()
                .flat_map(|all| all.as_array().unwrap())
                .collect();
            assert_eq!(texts.len(), 2, "{}", answer.body);
            for text in texts {
                assert_eq!(text["result"]["content"][0]["text"], expected, "{path}");
            }
        }
    }
}

#[tokio::test]
async fn the_token_is_the_tenants_or_nothing_is_learned() {
    let world = World::start("", true, TenantAudience::OwnOrAbove)
        .await
        .unwrap();
    // One that there is, as far as anybody knows: its own tokens are good.
    let other = world.token("other").mint();
    assert!(said(&world.who("/mcp/other", &other).await).is_ok());
    let mut bodies = Vec::new();
    for path in [
        "/mcp/other",
        "/mcp/no_such",
        "/mcp/ACME",
        "/mcp/acm",
        "/mcp/acme.",
        "/mcp/other/P-1",
    ] {
        let answer = world.who(path, &world.token("acme").mint()).await;
        assert_eq!(answer.status, 403, "{path}: {}", answer.body);
        assert!(
            answer.body.contains("this address is for one organization"),
            "{}",
            answer.body
        );
        assert!(
            !answer
                .header("www-authenticate")
                .unwrap()
                .contains("error=")
        );
        let id = answer.header("x-request-id").unwrap();
        bodies.push(answer.body.replace(id, ""));
    }
    assert!(bodies.iter().all(|body| *body == bodies[0]), "{bodies:?}");
    let nobodys = world.issuer.token().without("org_id").mint();
    assert_eq!(world.who("/mcp/acme", &nobodys).await.status, 403);
    assert!(said(&world.who("/mcp", &nobodys).await).is_ok());
}

#[tokio::test]
async fn a_token_is_good_where_its_audience_is_or_above_if_that_is_enough() {
    // Which tokens, by what their `aud` has below the resource, are good where. The last are those of
    // other audiences.
    let audiences = [
        "",
        "/acme",
        "/acme/P-1",
        "/other",
        "/ACME",
        "/acme/",
        "/",
        "also-us",
        "foreign",
    ];
    for (audience, path, good) in [
        (TenantAudience::OwnOrAbove, "", &["", "also-us"][..]),
        (
            TenantAudience::OwnOrAbove,
            "/acme",
            &["", "/acme", "also-us"],
        ),
        (
            TenantAudience::OwnOrAbove,
            "/acme/P-1",
            &["", "/acme", "/acme/P-1", "also-us"],
        ),
        (
            TenantAudience::OwnOrAbove,
            "/acme/P-2",
            &["", "/acme", "also-us"],
        ),
        (TenantAudience::Own, "", &["", "also-us"]),
        (TenantAudience::Own, "/acme", &["/acme"]),
        (TenantAudience::Own, "/acme/P-1", &["/acme/P-1"]),
        (TenantAudience::Own, "/acme/P-2", &[]),
    ] {
        let world = World::start("", true, audience).await.unwrap();
        let full = |named: &str| match named {
            "also-us" | "foreign" => named.to_owned(),
            below => format!("{}{below}", world.resource),
        };
        for named in audiences {
            let token = world.token("acme").audience(&full(named)).mint();
            // The second time from memory.
            for _ in 0..2 {
                let answer = world.who(&format!("/mcp{path}"), &token).await;
                let expected = if good.contains(&named) { 200 } else { 401 };
                assert_eq!(
                    answer.status, expected,
                    "{audience:?} {named:?} at {path:?}"
                );
            }
        }
        // Of several one is enough.
        let both = json!([full("/other"), full("/acme")]);
        let token = world.token("acme").claim("aud", both).mint();
        let expected = if good.contains(&"/acme") { 200 } else { 401 };
        assert_eq!(
            world.who(&format!("/mcp{path}"), &token).await.status,
            expected
        );
    }
}

#[tokio::test]
async fn without_tenants_there_is_nothing_below_the_endpoint() {
    let issuer = Issuer::start().await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let config = HttpConfig::new(&base, [issuer.url()]).unwrap();
    let trusted = IssuerConfig::new(issuer.url(), [&config.resource]);
    let verifier = TokenVerifier::new(vec![trusted], http_client(), VerifierConfig::default());
    let store = Arc::new(MemoryStore::default());
    let sessions = SessionTiers::builder(verifier.unwrap(), Keyring::random(), store).build();
    let server = HttpServer::new(config, sessions, Tools, |_, _| Caller("ada".to_owned()));
    tokio::spawn(server.serve(listener, std::future::pending()));
    for path in [
        "/mcp/acme",
        "/.well-known/oauth-protected-resource/mcp/acme",
    ] {
        let answer = http_client()
            .get(format!("{base}{path}"))
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 404, "{path}");
    }
    let own = issuer.token().audience(&format!("{base}/mcp/acme")).mint();
    let call = RawHttp::new(format!("{base}/mcp")).call(Generation::Modern, "who", &json!({}));
    assert_eq!(call.bearer(&own).send().await.unwrap().status, 401);
}
