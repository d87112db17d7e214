//! The example does what it says.

use crate::world::{RESOURCE, issuer};

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
