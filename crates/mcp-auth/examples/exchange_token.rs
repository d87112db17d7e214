//! Exchanges an access token of this server for one of the API, as a client of the issuer:
//! `cargo run -p mcp-auth --example exchange_token ISSUER RESOURCE API CLIENT_ID SECRET_FILE < token`
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{error::Error, io::Read, time::SystemTime};

use mcp_auth::{
    AccessToken, ClientAuthentication, ExchangeConfig, IssuerConfig, TokenExchange, TokenVerifier,
    Upstream, UpstreamCredentials, VerifierConfig,
};

/// Whose token it is, at which issuer, and for which API it is to be exchanged.
pub(crate) struct Exchange<'a> {
    pub(crate) issuer: &'a str,
    pub(crate) resource: &'a str,
    pub(crate) api: &'a str,
    pub(crate) client_id: &'a str,
    pub(crate) client_secret: &'a str,
}

/// How long the new token lives and for whom, or why there is none. The tokens are not shown.
pub(crate) async fn exchange(asked: &Exchange<'_>, token: &str) -> Result<String, Box<dyn Error>> {
    let now = SystemTime::now();
    let client = mcp_auth::http_client()?;
    let trusted = IssuerConfig::new(asked.issuer, [asked.resource]);
    let verifier = TokenVerifier::new(vec![trusted], client.clone(), VerifierConfig::default())?;
    let secret = ClientAuthentication::SecretBasic(asked.client_secret.to_owned().into());
    let mut config = ExchangeConfig::new(asked.issuer, asked.client_id, secret);
    config.audience = Some(asked.api.to_owned());
    let mode = UpstreamCredentials::from(TokenExchange::new(config, client)?);

    let token = AccessToken::parse(&format!("Bearer {}", token.trim()))?;
    let principal = match verifier.verify(&token, now).await {
        Ok(principal) => principal,
        Err(error) => return Ok(format!("refused: {error}")),
    };
    Ok(match mode.obtain(&token, &principal, now).await {
        Ok(Upstream::Exchanged(upstream)) => {
            let left = upstream.expires_at().duration_since(now)?;
            let subject = principal.subject();
            format!("{subject} may call {} for {} s", asked.api, left.as_secs())
        }
        Ok(Upstream::Presented) => "the token is good for the API itself".to_owned(),
        Err(error) => format!("not exchanged: {error}"),
    })
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [issuer, resource, api, client_id, secret_file] = arguments.as_slice() else {
        return Err("usage: exchange_token ISSUER RESOURCE API CLIENT_ID SECRET_FILE".into());
    };
    let secret = std::fs::read_to_string(secret_file)?;
    let asked = Exchange {
        issuer,
        resource,
        api,
        client_id,
        client_secret: secret.trim_end(),
    };
    let mut token = String::new();
    std::io::stdin().read_to_string(&mut token)?;
    println!("{}", exchange(&asked, &token).await?);
    Ok(())
}
