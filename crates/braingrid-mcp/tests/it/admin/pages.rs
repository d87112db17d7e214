//! The pages for operators, as a browser without scripts uses them.

use mcp_test_support::client::Generation;
use serde_json::json;

use super::{Answer, Operators, READ, WRITE};
use crate::audit::parsed;
use crate::world::{LIMIT, World, client_of};

/// A browser: what it keeps, and the forms it sends.
struct Browser<'o> {
    operators: &'o Operators,
    cookie: String,
}

impl<'o> Browser<'o> {
    async fn log_in(operators: &'o Operators, token: &str) -> Self {
        let request = operators.request("POST", "/ui/login");
        let request = request
            .header("origin", &operators.base)
            .form(&[("token", token)]);
        let answer = operators.send(request).await;
        assert_eq!(
            (answer.status, answer.header("location")),
            (303, "/ui/status")
        );
        let cookie = answer.header("set-cookie");
        assert!(cookie.contains("; HttpOnly; SameSite=Strict"), "{cookie}");
        assert!(!cookie.contains(token));
        let cookie = cookie.split(';').next().unwrap().to_owned();
        Self { operators, cookie }
    }

    async fn get(&self, path: &str) -> Answer {
        let request = self.operators.request("GET", path);
        self.operators
            .send(request.header("cookie", &self.cookie))
            .await
    }

    async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let request = self.operators.request("POST", path);
        let request = request
            .header("cookie", &self.cookie)
            .header("origin", &self.operators.base);
        self.operators.send(request.form(fields)).await
    }

    /// What binds this login's forms to it.
    async fn form(&self) -> String {
        let page = self.get("/ui/sessions").await.text;
        let (_, rest) = page.split_once("name=\"form\" value=\"").unwrap();
        rest.split('"').next().unwrap().to_owned()
    }
}

#[tokio::test]
async fn an_operator_logs_in_and_signs_somebody_out() {
    let world = World::small().await;
    let audit = world.home.path().join("audit");
    let command = world.command().env("AUDIT_LOG", &audit);
    let (mut server, operators) = Operators::start(&world, command).await;
    let token = world.token("<b>ada</b>", "org_1");
    let status = async || {
        let call = client_of(&server).call(Generation::Modern, "list_projects", &json!({}));
        call.bearer(&token).send().await.unwrap().status
    };
    assert_eq!(status().await, 200);
    let browser = Browser::log_in(&operators, WRITE).await;
    let page = browser.get("/ui/sessions").await;
    assert_eq!(page.status, 200);
    assert!(page.text.contains("&lt;b&gt;ada&lt;/b&gt;") && !page.text.contains("<b>ada"));
    let policy = page.header("content-security-policy");
    for rule in [
        "default-src 'none'",
        "frame-ancestors 'none'",
        "form-action 'self'",
    ] {
        assert!(policy.contains(rule), "{policy}");
    }
    assert!(!page.text.contains("<script"));

    let form = browser.form().await;
    let ada = [
        ("subject", "<b>ada</b>"),
        ("do", "revoke"),
        ("form", form.as_str()),
    ];
    let done = browser.post("/ui/sessions", &ada).await;
    let place = "/ui/revocations?done=signed_out&told=all&sessions=1";
    assert_eq!((done.status, done.header("location")), (303, place));
    let said = browser.get(place).await.text;
    assert!(said.contains("Signed out."), "{said}");
    assert_eq!(status().await, 401);
    let suspended = [
        ("organization", "org_1"),
        ("do", "suspend"),
        ("form", form.as_str()),
    ];
    assert_eq!(
        browser.post("/ui/revocations", &suspended).await.status,
        303
    );
    assert!(
        browser
            .get("/ui/revocations")
            .await
            .text
            .contains("Let in again")
    );
    let resumed = [
        ("organization", "org_1"),
        ("do", "resume"),
        ("form", form.as_str()),
    ];
    assert_eq!(browser.post("/ui/revocations", &resumed).await.status, 303);
    let level = [("level", "debug"), ("form", form.as_str())];
    assert_eq!(browser.post("/ui/status", &level).await.status, 303);
    assert!(browser.get("/ui/status").await.text.contains("debug"));
    let nobody = browser
        .post(
            "/ui/revocations",
            &[("do", "revoke"), ("form", form.as_str())],
        )
        .await;
    assert_eq!(nobody.status, 400);
    assert!(nobody.text.contains("name a user"), "{}", nobody.text);

    let out = browser.post("/ui/logout", &[("form", form.as_str())]).await;
    assert!(out.header("set-cookie").contains("Max-Age=0"));
    let again = browser.get("/ui/sessions").await;
    assert_eq!(
        again.header("location"),
        "/ui/login",
        "the cookie is worth nothing"
    );
    assert!(server.stop(LIMIT).await.unwrap().success());
    let text = std::fs::read_to_string(&audit).unwrap();
    let done: Vec<_> = parsed(&text)
        .into_iter()
        .filter(|record| record["event"] == "operator_action" && record["operator"] == "ada")
        .map(|record| record["action"].as_str().unwrap().to_owned())
        .collect();
    // The last one named nobody, and got no further than its page.
    assert_eq!(
        done,
        [
            "log_in",
            "revoke",
            "suspend",
            "resume",
            "set_log_level",
            "log_out"
        ]
    );
}

#[tokio::test]
async fn nobody_else_has_a_form_sent() {
    let world = World::small().await;
    let (_server, operators) = Operators::start(&world, world.command()).await;
    let browser = Browser::log_in(&operators, WRITE).await;
    let other = Browser::log_in(&operators, WRITE).await;
    let (own, foreign) = (browser.form().await, other.form().await);
    let send = async |form: &str| {
        let fields = [("organization", "org_1"), ("do", "suspend"), ("form", form)];
        browser.post("/ui/revocations", &fields).await.status
    };
    assert_eq!(send("").await, 403);
    assert_eq!(send(&foreign).await, 403);
    let elsewhere = operators
        .request("POST", "/ui/revocations")
        .header("cookie", &browser.cookie)
        .header("origin", "https://elsewhere.example")
        .form(&[
            ("organization", "org_1"),
            ("do", "suspend"),
            ("form", own.as_str()),
        ]);
    assert_eq!(operators.send(elsewhere).await.status, 403);
    let with_cookie = operators
        .request("GET", "/admin/v1/sessions")
        .header("cookie", &browser.cookie);
    assert_eq!(
        operators.send(with_cookie).await.status,
        401,
        "the cookie is for pages"
    );
    assert_eq!(
        operators.read("/admin/v1/revocations").await.json()["total"],
        0
    );
    assert_eq!(send(&own).await, 303);
}

#[tokio::test]
async fn a_login_has_the_right_of_its_token_for_as_long_as_that_is_good() {
    let world = World::small().await;
    let (_server, operators) = Operators::start(&world, world.command()).await;
    let page = operators.get("/ui/sessions").await;
    assert_eq!((page.status, page.header("location")), (303, "/ui/login"));
    let wrong = operators
        .request("POST", "/ui/login")
        .form(&[("token", "sesame")]);
    let wrong = operators.send(wrong).await;
    assert_eq!(wrong.status, 401);
    assert!(wrong.header("set-cookie").is_empty() && wrong.text.contains("none of"));

    let reader = Browser::log_in(&operators, READ).await;
    let page = reader.get("/ui/revocations").await.text;
    assert!(
        page.contains("may only read") && !page.contains("name=\"do\""),
        "{page}"
    );
    let form = reader.form().await;
    let fields = [
        ("organization", "org_1"),
        ("do", "suspend"),
        ("form", form.as_str()),
    ];
    assert_eq!(reader.post("/ui/revocations", &fields).await.status, 403);

    std::fs::write(operators.tokens_file(), format!("ada write {WRITE}")).unwrap();
    let page = reader.get("/ui/sessions").await;
    assert_eq!(page.status, 401);
    assert!(page.text.contains("<h1>Log in</h1>"), "{}", page.text);
}
