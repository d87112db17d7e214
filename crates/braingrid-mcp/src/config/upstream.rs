//! Whether the callers' tokens are passed on to a service they do not name.

use url::Url;

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
