//! The examples do what they say.

use mcp_test_support::{ExchangeAnswer, ExchangeClient};

use crate::world::{RESOURCE, issuer};

#[path = "../../examples/exchange_token.rs"]
#[expect(dead_code, reason = "its main is for the command line")]
mod exchange_token;

#[path = "../../examples/verify_token.rs"]
#[expect(dead_code, reason = "its main is for the command line")]
mod verify_token;

#[tokio::test]
async fn the_example_tells_good_from_bad() {
    let issuer = issuer().await;
    let token = issuer
        .token()
        .subject("ada")
        .organization("acme")
        .scope("a b");
    let good = verify_token::describe(&issuer.url(), RESOURCE, &token.mint())
        .await
        .unwrap();
    assert_eq!(good, "ada of acme, scopes: a b");
    let bad = token.expires_in(-3600).mint();
    let bad = verify_token::describe(&issuer.url(), RESOURCE, &bad)
        .await
        .unwrap();
    assert_eq!(bad, "refused: invalid token: expired");
}

#[tokio::test]
async fn the_example_exchanges_a_good_token_and_says_why_not() {
    let issuer = issuer().await;
    issuer.let_exchange("mcp", ExchangeClient::Basic("s3cret".to_owned()));
    let url = issuer.url();
    let asked = exchange_token::Exchange {
        issuer: &url,
        resource: RESOURCE,
        api: "https://api.test",
        client_id: "mcp",
        client_secret: "s3cret",
    };
    let token = issuer.token().subject("ada").organization("acme");
    let good = exchange_token::exchange(&asked, &token.mint()).await;
    assert_eq!(good.unwrap(), "ada may call https://api.test for 300 s");
    let bad = exchange_token::exchange(&asked, &token.clone().expires_in(-3600).mint()).await;
    assert_eq!(bad.unwrap(), "refused: invalid token: expired");
    let denied = r#"{"error": "access_denied"}"#.to_owned();
    issuer.answer_exchanges(ExchangeAnswer::Fixed(400, denied));
    let denied = exchange_token::exchange(&asked, &token.mint()).await;
    assert!(denied.unwrap().starts_with("not exchanged: forbidden"));
}
