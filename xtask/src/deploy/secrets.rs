//! What looks like a secret has no place in a file of the repository or on a command line. It is
//! recognised by its name and by its shape; what is refused is never shown.

/// Words that make a setting a secret.
const WORDS: &[&str] = &[
    "KEY",
    "KEYS",
    "SECRET",
    "SECRETS",
    "TOKEN",
    "TOKENS",
    "PASSWORD",
    "PASSWD",
    "CREDENTIALS",
    "HEADERS",
];

/// How the tokens of well-known services begin.
const PREFIXES: &[&str] = &[
    "ghp_",
    "gho_",
    "github_pat_",
    "glpat-",
    "sk-",
    "sk_live_",
    "sk_test_",
    "AKIA",
    "AIza",
    "ya29.",
    "xoxb-",
    "dd_api_",
];

/// Whether a setting of this name holds a secret.
pub(crate) fn name_is_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    // Where a secret is, and what it is called, is none.
    if ["_FILE", "_NAME", "_ID"]
        .iter()
        .any(|end| name.ends_with(end))
    {
        return false;
    }
    name.ends_with("REDIS_URL") || name.split(['_', '-']).any(|word| WORDS.contains(&word))
}

/// Why this value looks like a secret, whatever it is called.
pub(crate) fn shape(value: &str) -> Option<&'static str> {
    let value = value.trim();
    if value.contains("-----BEGIN ") {
        return Some("a PEM block");
    }
    if PREFIXES.iter().any(|prefix| value.starts_with(prefix)) {
        return Some("a token of a well-known service");
    }
    if value.split([' ', ',', '=']).any(is_jwt) {
        return Some("a JSON Web Token");
    }
    if has_password(value) {
        return Some("a URL with a password");
    }
    let digestless = value.split("@sha256:").next().unwrap_or(value);
    // In a URL a slash ends a word; in base64 it is part of one.
    let inside = if value.contains("://") { "+" } else { "+/" };
    // What Vercel calls its projects and teams is random, and public.
    let public = ["prj_", "team_"]
        .iter()
        .find_map(|kind| digestless.strip_prefix(kind));
    let digestless = if public.is_some() { "" } else { digestless };
    let mut words = digestless.split(|c: char| !c.is_ascii_alphanumeric() && !inside.contains(c));
    words.find_map(random)
}

fn is_jwt(word: &str) -> bool {
    word.starts_with("eyJ") && word.matches('.').count() >= 2
}

fn has_password(value: &str) -> bool {
    let authority = value
        .split_once("://")
        .and_then(|(_, rest)| rest.split(['/', '?', '#']).next());
    authority.is_some_and(|authority| authority.contains('@'))
}

/// Keys are long and mix what words do not mix.
fn random(word: &str) -> Option<&'static str> {
    let has = |kind: fn(&char) -> bool| word.chars().any(|c| kind(&c));
    if word.len() >= 32 && word.bytes().all(|b| b.is_ascii_hexdigit()) {
        return Some("a key in hexadecimal");
    }
    let mixed =
        has(char::is_ascii_digit) && has(char::is_ascii_lowercase) && has(char::is_ascii_uppercase);
    (word.len() >= 24 && mixed).then_some("a random key")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_secrets_are_known_and_paths_to_them_are_not() {
        for name in [
            "ENCRYPTION_KEY",
            "ENCRYPTION_KEYS_PREVIOUS",
            "REDIS_URL",
            "BRAINGRID_API_TOKEN",
            "OTEL_EXPORTER_OTLP_HEADERS",
            "UPSTREAM_CLIENT_SECRET",
            "UPSTREAM_CLIENT_KEY",
            "db_password",
        ] {
            assert!(name_is_secret(name), "{name}");
        }
        for name in [
            "LOG_LEVEL",
            "OAUTH_ISSUER",
            "WORKOS_CLIENT_ID",
            "OAUTH_JWKS_URI",
            "ENCRYPTION_KEY_FILE",
            "UPSTREAM_CLIENT_ID",
            "UPSTREAM_CLIENT_KEY_ID",
        ] {
            assert!(!name_is_secret(name), "{name}");
        }
    }

    #[test]
    fn secrets_are_known_by_their_shape_under_any_name() {
        for value in [
            "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
            "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln",
            "Bearer eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln",
            "rediss://default:hunter2@redis.example.com:6379",
            "-----BEGIN PRIVATE KEY-----",
            "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
            "q8Zt3Vw1Yb5Nc7Xd9Lf2Hg4Jk6Ms0PrTuE=",
        ] {
            assert!(shape(value).is_some(), "{value}");
        }
    }

    #[test]
    fn settings_and_references_are_no_secrets() {
        for value in [
            "https://mcp.braingrid.ai/mcp",
            "braingrid-mcp-encryption-key:latest",
            "europe-west1-docker.pkg.dev/braingrid-production/services/braingrid-mcp:0.1.0",
            "registry/x@sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
            "braingrid-mcp@braingrid-production.iam.gserviceaccount.com",
            "client_01HXYZ3Q9K8A7B6C5D4E3F2G1H",
            "read=mcp:read,write=mcp:write",
            "10s",
            "prj_q8Zt3Vw1Yb5Nc7Xd9Lf2Hg4Jk6Ms",
        ] {
            assert_eq!(shape(value), None, "{value}");
        }
    }
}
