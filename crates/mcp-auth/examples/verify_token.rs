//! Says who an access token speaks for, or why it is refused:
//! `cargo run -p mcp-auth --example verify_token https://auth.example.com https://mcp.example.com/mcp < token`
#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::{error::Error, io::Read, time::SystemTime};

use mcp_auth::{AccessToken, IssuerConfig, TokenVerifier, VerifierConfig};

/// One line about a token.
pub(crate) async fn describe(
    issuer: &str,
    audience: &str,
    token: &str,
) -> Result<String, Box<dyn Error>> {
    let issuer = IssuerConfig::new(issuer, [audience]);
    let client = mcp_auth::http_client()?;
    let verifier = TokenVerifier::new(vec![issuer], client, VerifierConfig::default())?;
    let token = AccessToken::parse(&format!("Bearer {}", token.trim()))?;
    Ok(match verifier.verify(&token, SystemTime::now()).await {
        Ok(principal) => format!(
            "{} of {}, scopes: {}",
            principal.subject(),
            principal.organization().unwrap_or("no organization"),
            principal.scopes().join(" ")
        ),
        Err(error) => format!("refused: {error}"),
    })
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(issuer), Some(audience)) = (arguments.next(), arguments.next()) else {
        return Err("usage: verify_token ISSUER AUDIENCE, with the token on standard input".into());
    };
    let mut token = String::new();
    std::io::stdin().read_to_string(&mut token)?;
    println!("{}", describe(&issuer, &audience, &token).await?);
    Ok(())
}
