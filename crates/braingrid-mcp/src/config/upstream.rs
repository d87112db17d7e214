//! What the API is called with: the table `[issuers.upstream]`, and whether the callers' tokens are
//! passed on to a service they do not name.

use mcp_auth::{ClientAuthentication, ClientKey, ExchangeConfig, ExchangeGrant, Preset};
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;
use zeroize::Zeroizing;

use super::issuers::IssuerKey;
use super::layers::secret_file;
use super::parse::{Parsed, endpoints, identity, quoted, refuse, words};
use super::problem::Problem;
use super::reader::Table;

/// What the API is called with for the users of one issuer.
#[derive(Debug, Clone)]
pub(crate) enum UpstreamSettings {
    /// Their own tokens, which have to name this audience of the API.
    SameAudience(String),
    /// Tokens that the issuer gives for theirs.
    Exchange(ExchangeConfig),
}

const MODE: &str = "mode";
const AUDIENCE: &str = "audience";
const RESOURCE: &str = "resource";
const SCOPES: &str = "scopes";
const CLIENT_ID: &str = "client_id";
const CLIENT_SECRET: &str = "client_secret";
const CLIENT_SECRET_FILE: &str = "client_secret_file";
const CLIENT_KEY_FILE: &str = "client_key_file";
const CLIENT_KEY_ID: &str = "client_key_id";
const AUTHENTICATION: &str = "client_authentication";
const TOKEN_ENDPOINT: &str = "token_endpoint";

pub(crate) const UPSTREAM_KEYS: &[IssuerKey] = &[
    IssuerKey {
        key: MODE,
        default: "required",
        meaning: "`exchange`: the issuer gives a token of the API for the caller's, which stays here \
                  (RFC 8693). `same-audience`: the caller's token is sent on; it has to name the API \
                  in `aud`.",
    },
    IssuerKey {
        key: AUDIENCE,
        default: "none",
        meaning: "The API, as the issuer names it. In mode `same-audience` it has to be in `aud` of \
                  the caller's token.",
    },
    IssuerKey {
        key: RESOURCE,
        default: "none",
        meaning: "The API by its address (RFC 8707), instead. With a preset (`workos`, `auth0`, \
                  `keycloak`, `okta`, `entra`) either is sent as that issuer reads it.",
    },
    IssuerKey {
        key: SCOPES,
        default: "the issuer's choice",
        meaning: "The scopes to ask for. With the preset `entra`: `AUDIENCE/.default`.",
    },
    IssuerKey {
        key: CLIENT_ID,
        default: "required for `exchange`",
        meaning: "The client that this server is at the issuer, which lets it exchange tokens.",
    },
    IssuerKey {
        key: CLIENT_SECRET,
        default: "none",
        meaning: "**Secret.** That client's secret.",
    },
    IssuerKey {
        key: CLIENT_SECRET_FILE,
        default: "none",
        meaning: "A file that holds it, instead; relative to this file.",
    },
    IssuerKey {
        key: CLIENT_KEY_FILE,
        default: "none",
        meaning: "A file with that client's private key (PKCS #8 in PEM), in place of a secret. Where \
                  its certificate is in it too, assertions name it, as Entra wants it.",
    },
    IssuerKey {
        key: CLIENT_KEY_ID,
        default: "none",
        meaning: "The id under which the issuer knows that key (`kid`).",
    },
    IssuerKey {
        key: AUTHENTICATION,
        default: "by what is given",
        meaning: "`client_secret_basic` (for a secret, but for the preset `workos`), \
                  `client_secret_post` or `private_key_jwt` (for a key).",
    },
    IssuerKey {
        key: TOKEN_ENDPOINT,
        default: "from its metadata",
        meaning: "Its token endpoint, where that is on another host than the issuer.",
    },
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    SameAudience,
    Exchange,
}

fn mode(value: &str) -> Parsed<Mode> {
    match value {
        "exchange" => Ok(Mode::Exchange),
        "same-audience" => Ok(Mode::SameAudience),
        _ => refuse(
            format!("{} is no mode", quoted(value)),
            "use exchange or same-audience",
        ),
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Method {
    Basic,
    Post,
    Key,
}

fn method(value: &str) -> Parsed<Method> {
    match value {
        "client_secret_basic" => Ok(Method::Basic),
        "client_secret_post" => Ok(Method::Post),
        "private_key_jwt" => Ok(Method::Key),
        _ => refuse(
            format!("{} is no way to authenticate", quoted(value)),
            "use client_secret_basic, client_secret_post or private_key_jwt",
        ),
    }
}

/// Takes the table out of an issuer's; `None` when there is none, or when it cannot work.
pub(crate) fn read(
    of_issuer: &mut Table,
    issuer: &str,
    preset: Option<Preset>,
    problems: &mut Vec<Problem>,
) -> Option<UpstreamSettings> {
    let mut table = of_issuer.table("upstream", problems)?;
    let before = problems.len();
    let chosen = table.optional(MODE, mode, problems);
    let read = match chosen {
        Some(Mode::SameAudience) => {
            let audience = table.optional(AUDIENCE, identity::audience, problems);
            if audience.is_none() && problems.len() == before {
                let fix = "set it to the audience that the API accepts";
                problems.push(table.problem(AUDIENCE, "it is missing", fix));
            }
            table.finish(&[MODE, AUDIENCE], problems);
            audience.map(UpstreamSettings::SameAudience)
        }
        Some(Mode::Exchange) => {
            let exchange = exchange(&mut table, issuer, preset, problems);
            let known: Vec<_> = UPSTREAM_KEYS.iter().map(|it| it.key).collect();
            table.finish(&known, problems);
            exchange.map(UpstreamSettings::Exchange)
        }
        None => {
            if problems.len() == before {
                let fix = "set it to exchange, or to same-audience";
                problems.push(table.problem(MODE, "it is missing", fix));
            }
            None
        }
    };
    read.filter(|_| problems.len() == before)
}

fn exchange(
    table: &mut Table,
    issuer: &str,
    preset: Option<Preset>,
    problems: &mut Vec<Problem>,
) -> Option<ExchangeConfig> {
    let before = problems.len();
    let client = table.optional(CLIENT_ID, words::word, problems);
    if client.is_none() && problems.len() == before {
        let fix = "set it to the id of the client that may exchange tokens";
        problems.push(table.problem(CLIENT_ID, "it is missing", fix));
    }
    let authentication = authentication(table, preset, problems);
    let audience = table.optional(AUDIENCE, identity::audience, problems);
    let resource = table.optional(RESOURCE, identity::audience, problems);
    let scopes = table.list(SCOPES, words::word, problems);
    let endpoint = table.optional(TOKEN_ENDPOINT, endpoints::key_set_url, problems);
    let mut config = ExchangeConfig::new(issuer, client?, authentication?);
    (config.audience, config.resource) = (audience, resource);
    (config.scopes, config.token_endpoint) = (scopes, endpoint);
    if let Some(preset) = preset {
        preset.apply_to_exchange(&mut config);
    }
    let by_scope = config.grant == ExchangeGrant::OnBehalfOf && !config.scopes.is_empty();
    if config.audience.is_none() && config.resource.is_none() && !by_scope {
        let fix = "set audience or resource, as the issuer names the BrainGrid API";
        problems.push(table.problem(AUDIENCE, "nothing names the API", fix));
    }
    Some(config)
}

/// How the client proves who it is: by the one thing that is given.
fn authentication(
    table: &mut Table,
    preset: Option<Preset>,
    problems: &mut Vec<Problem>,
) -> Option<ClientAuthentication> {
    let before = problems.len();
    let chosen = table.optional(AUTHENTICATION, method, problems);
    let secret = table.secret_or_file(CLIENT_SECRET, CLIENT_SECRET_FILE, problems);
    let key = key(table, problems);
    if problems.len() > before {
        return None;
    }
    let in_form = preset.is_some_and(Preset::takes_secret_in_form);
    match (secret, key, chosen) {
        (Some(secret), None, None | Some(Method::Basic | Method::Post)) => {
            let secret = Zeroizing::new(secret.expose_secret().to_owned());
            let posted = chosen.map_or(in_form, |chosen| chosen == Method::Post);
            Some(if posted {
                ClientAuthentication::SecretPost(secret)
            } else {
                ClientAuthentication::SecretBasic(secret)
            })
        }
        (None, Some(key), None | Some(Method::Key)) => {
            Some(ClientAuthentication::PrivateKeyJwt(key))
        }
        (Some(_), Some(_), _) => {
            let what = "a secret and a key are both set";
            problems.push(table.problem(CLIENT_KEY_FILE, what, "keep one of them"));
            None
        }
        (None, None, _) => {
            let what = "nothing proves that this server is that client";
            let fix = "set client_secret_file or client_key_file";
            problems.push(table.problem(CLIENT_SECRET_FILE, what, fix));
            None
        }
        _ => {
            let what = "it does not go with what is set";
            let fix = "private_key_jwt goes with client_key_file, the others with a secret";
            problems.push(table.problem(AUTHENTICATION, what, fix));
            None
        }
    }
}

fn key(table: &mut Table, problems: &mut Vec<Problem>) -> Option<ClientKey> {
    let id = table.optional(CLIENT_KEY_ID, words::word, problems);
    let path = table.optional(CLIENT_KEY_FILE, words::path, problems);
    let Some(path) = path else {
        if id.is_some() {
            let what = "it is set, and no key is";
            problems.push(table.problem(CLIENT_KEY_ID, what, "set client_key_file, or remove it"));
        }
        return None;
    };
    let path = table.directory().join(path);
    let pem: SecretString = secret_file(&table.label(CLIENT_KEY_FILE), &path, problems)?;
    match ClientKey::from_pem(pem.expose_secret()) {
        Ok(key) => Some(match id {
            Some(id) => key.named(id),
            None => key,
        }),
        Err(error) => {
            let fix = "openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 makes one";
            problems.push(table.problem(CLIENT_KEY_FILE, &error.to_string(), fix));
            None
        }
    }
}

/// Why `UPSTREAM_AUDIENCE` proves nothing, for an operator, if it does not: it is this server's own
/// resource, so every token that may come in may go out, and the API is somebody else.
pub(crate) fn tautology(resource: &str, upstream_audience: &str, api: &str) -> Option<String> {
    let origin = |url: &str| Url::parse(url).ok().map(|url| url.origin());
    if upstream_audience != resource || origin(resource) == origin(api) {
        return None;
    }
    Some(format!(
        "UPSTREAM_AUDIENCE is this server's own resource ({resource}), and BRAINGRID_API_URL is \
         another origin: every caller's token is sent on to {api}, which no token has to name; \
         unless both are one resource by agreement, set UPSTREAM_AUDIENCE to the audience that the \
         API accepts, and let the authorization server put it into aud beside the resource"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_that_names_this_server_only_is_not_silently_good_for_another_origin() {
        const OWN: &str = "https://mcp.test/mcp";
        for (audience, api, warned) in [
            (OWN, "https://api.test", true),
            (OWN, "https://mcp.test:8443/api", true),
            (OWN, "http://mcp.test/api", true),
            (OWN, "https://mcp.test/api/v1", false),
            (OWN, "https://mcp.test:443", false),
            ("https://api.test", "https://api.test", false),
        ] {
            let said = tautology(OWN, audience, api);
            assert_eq!(said.is_some(), warned, "{audience} and {api}");
        }
    }
}
