//! Tokens of our own authorization server without a login: for a client itself, and for a user for whom
//! another identity provider speaks. The API is called with the token that was configured for them.

use std::{fs, path::Path, sync::Arc};

use mcp_test_support::{
    Algorithm, Issuer, ServerProcess, SigningKey, TokenBuilder,
    client::{Generation, RawAnswer},
    http_client,
};
use serde_json::{Value, json};

use crate::{
    audit::parsed,
    world::{LIMIT, World, client_of, idea},
};

const SECRET: &str = "secret of the agent";

/// Two instances of a server that lets a client and an identity provider do so.
struct Without {
    world: World,
    key: Arc<SigningKey>,
    idp: Issuer,
    api_tokens: [String; 2],
}

impl Without {
    async fn new() -> Self {
        let world = World::shared().await;
        let idp = Issuer::start().await.unwrap();
        let key = Arc::new(SigningKey::generate(Algorithm::EdDsa));
        let of_service = |organization: &str| world.token("service_account", organization);
        let api_tokens = ["org_ci", "org_acme"].map(of_service);
        let home = world.home.path();
        for (name, token) in ["api-ci", "api-acme"].iter().zip(&api_tokens) {
            fs::write(home.join(name), format!("{token}\n")).unwrap();
        }
        let keys = json!({"keys": [key.jwk()]}).to_string();
        fs::write(home.join("ci-keys.json"), keys).unwrap();
        let toml = settings(&world.issuer.url(), &idp.url());
        fs::write(home.join("own.toml"), toml).unwrap();
        Self {
            world,
            key,
            idp,
            api_tokens,
        }
    }

    async fn server(&self, audit: &Path) -> ServerProcess {
        let command = self.world.command().without_env("OAUTH_ISSUER");
        let command = command
            .without_env("UPSTREAM_AUDIENCE")
            .env("TOOL_SCOPES", "read=tools:read, write=tools:write")
            .env("AUDIT_LOG", audit)
            .arg("--config")
            .arg(self.world.home.path().join("own.toml"));
        self.world.start(&command).await
    }

    /// What the authorization server is called.
    fn issuer(&self) -> String {
        let resource = self.world.resource();
        resource.strip_suffix("/mcp").unwrap().to_owned()
    }

    /// What the client signs.
    fn proof(&self) -> String {
        let proof = TokenBuilder::new("ci", &[self.issuer()], Arc::clone(&self.key));
        let proof = proof.subject("ci").expires_in(60).header("typ", "JWT");
        proof.mint()
    }

    /// What the identity provider signs.
    fn assertion(&self) -> String {
        let assertion = self.idp.token().header("typ", "oauth-id-jag+jwt");
        let assertion = assertion.audience(&self.issuer()).subject("ada");
        let assertion = assertion.claim("client_id", "agent").expires_in(300);
        let assertion = assertion.claim("resource", self.world.resource());
        assertion.scope("tools:read tools:write").mint()
    }
}

fn settings(provider: &str, idp: &str) -> String {
    format!(
        r#"
[authorization_server]
issuer = "{provider}"
client_id = "braingrid-mcp"
client_secret = "secret at the provider"
client_id_metadata_documents = false

[[authorization_server.clients]]
id = "ci"
jwks_file = "ci-keys.json"

[authorization_server.clients.client_credentials]
organization = "org_ci"
scopes = ["tools:read", "tools:write"]
api_token_file = "api-ci"

[[authorization_server.clients]]
id = "agent"
secret = "{SECRET}"

[[authorization_server.assertion_issuers]]
issuer = "{idp}"
clients = ["agent"]
scopes = ["tools:read"]
organization = "org_acme"
api_token_file = "api-acme"
"#
    )
}

async fn token(server: &ServerProcess, pairs: &[(&str, &str)]) -> (u16, Value) {
    let url = format!("{}/token", server.base_url());
    let answer = http_client().post(url).form(pairs).send().await;
    let answer = answer.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

async fn for_client(server: &ServerProcess, proof: &str) -> (u16, Value) {
    let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
    let pairs = [
        ("grant_type", "client_credentials"),
        ("client_assertion_type", kind),
        ("client_assertion", proof),
    ];
    token(server, &pairs).await
}

async fn for_assertion(server: &ServerProcess, assertion: &str) -> (u16, Value) {
    let pairs = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
        ("assertion", assertion),
        ("client_id", "agent"),
        ("client_secret", SECRET),
    ];
    token(server, &pairs).await
}

fn access_token((status, answer): (u16, Value)) -> String {
    assert_eq!(status, 200, "{answer}");
    assert!(answer.get("refresh_token").is_none(), "{answer}");
    answer["access_token"].as_str().unwrap().to_owned()
}

async fn call(server: &ServerProcess, token: &str, tool: &str, arguments: &Value) -> RawAnswer {
    let request = client_of(server).call(Generation::Modern, tool, arguments);
    request.bearer(token).send().await.unwrap()
}

#[tokio::test]
async fn the_api_is_called_with_the_configured_token_and_the_audit_log_names_who_it_was() {
    let without = Without::new().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit");
    let one = without.server(&folder.path().join("first")).await;
    let mut two = without.server(&path).await;
    let ci = access_token(for_client(&one, &without.proof()).await);
    let ada = access_token(for_assertion(&one, &without.assertion()).await);
    // Another instance serves them, which has never heard of them.
    for (token, status) in [(&ci, 200), (&ada, 403)] {
        let list = call(&two, token, "list_projects", &json!({})).await;
        assert_eq!(list.status, 200, "{}", list.body);
        assert!(list.structured().is_some(), "{}", list.body);
        let idea = idea("what nobody asked for");
        let write = call(&two, token, "create_requirement", &idea).await;
        assert_eq!(write.status, status, "its scopes: {}", write.body);
    }
    let asked = without.world.api.requests().entries();
    let of = |organization: &str| {
        let of_it = asked
            .iter()
            .filter(|it| it.organization.as_deref() == Some(organization));
        of_it
            .map(|it| it.token().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    for (organization, token) in ["org_ci", "org_acme"].iter().zip(&without.api_tokens) {
        let sent = of(organization);
        assert!(
            !sent.is_empty() && sent.iter().all(|it| it == token),
            "{organization}"
        );
    }
    assert_eq!(of("org_ci").len() + of("org_acme").len(), asked.len());

    assert!(two.stop(LIMIT).await.unwrap().success());
    let audit = fs::read_to_string(&path).unwrap();
    for secret in without.api_tokens.iter().chain([&ci, &ada]) {
        assert!(!audit.contains(secret) && !two.text().contains(secret));
    }
    let records = parsed(&audit);
    let user = format!("{}#ada", without.idp.url());
    for (subject, client, organization) in [("ci", "ci", "org_ci"), (&*user, "agent", "org_acme")] {
        let is_of = |record: &&Value| record["subject"] == subject;
        let record = records
            .iter()
            .find(is_of)
            .unwrap_or_else(|| panic!("{records:?}"));
        assert_eq!(record["client"], client, "{record}");
        assert_eq!(record["organization"], organization, "{record}");
    }
}

#[tokio::test]
async fn what_was_used_at_one_instance_is_used_at_all_and_nothing_is_without_redis() {
    let mut without = Without::new().await;
    let folder = tempfile::tempdir().unwrap();
    let one = without.server(&folder.path().join("one")).await;
    let two = without.server(&folder.path().join("two")).await;
    let (proof, assertion) = (without.proof(), without.assertion());
    access_token(for_client(&one, &proof).await);
    access_token(for_assertion(&one, &assertion).await);
    let (status, answer) = for_client(&two, &proof).await;
    assert_eq!((status, &answer["error"]), (401, &"invalid_client".into()));
    let (status, answer) = for_assertion(&two, &assertion).await;
    assert_eq!((status, &answer["error"]), (400, &"invalid_grant".into()));
    without.world.redis.as_mut().unwrap().kill();
    for (status, answer) in [
        for_client(&two, &without.proof()).await,
        for_assertion(&two, &without.assertion()).await,
    ] {
        let error = &answer["error"];
        assert_eq!((status, error), (503, &"temporarily_unavailable".into()));
    }
}
