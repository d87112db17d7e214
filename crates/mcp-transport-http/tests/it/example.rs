//! The example server, protected by the stand-in issuer, called by a real MCP client.

use mcp_test_support::{
    Issuer,
    client::{Generation, RawHttp, call, connect_http},
};
use serde_json::json;
use tokio::{net::TcpListener, sync::oneshot};

#[path = "../../examples/protected_server.rs"]
#[expect(dead_code, reason = "its main is for the command line")]
mod protected_server;

#[tokio::test]
async fn the_example_greets_who_calls_and_challenges_strangers() {
    let issuer = Issuer::start().await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let public_url = format!("http://{}", listener.local_addr().unwrap());
    let resource = format!("{public_url}/mcp");
    issuer.set_audience([resource.as_str()]);
    let (stop, stopped) = oneshot::channel::<()>();
    let url = issuer.url();
    let serving = async {
        let shutdown = async { stopped.await.unwrap_or_default() };
        protected_server::serve(&url, &public_url, listener, shutdown)
            .await
            .unwrap();
    };
    let calling = async {
        let token = issuer.token().subject("ada").without("org_id").mint();
        for generation in Generation::BOTH {
            let client = connect_http(&resource, Some(&token), generation)
                .await
                .unwrap();
            let answer = call(&client, "greet", json!({})).await.unwrap();
            let text = serde_json::to_value(&answer.content).unwrap();
            assert_eq!(text[0]["text"], "Hello, ada!");
            client.cancel().await.unwrap();
        }
        let stranger = RawHttp::new(&resource).call(Generation::Modern, "greet", &json!({}));
        assert_eq!(stranger.send().await.unwrap().status, 401);
        stop.send(()).unwrap();
    };
    tokio::join!(serving, calling);
}
