//! What holds for every page, read as a browser would.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use html5gum::{DefaultEmitter, StartTag, Token, Tokenizer};
use http::{Response, StatusCode, header};
use proptest::prelude::*;
use unicode_general_category::{GeneralCategory, get_general_category};
use url::Url;

use super::{
    Consent, Finished, Identity, Problem, consent, destination::Destination, finished, problem,
    text::plain,
};

/// A page taken apart.
#[derive(Debug, Default)]
struct Parts {
    /// Its tags with their attributes, without what stands in them.
    skeleton: Vec<String>,
    /// The attributes whose values are not the template's.
    values: Vec<(String, String)>,
    texts: Vec<String>,
}

impl Parts {
    fn of(response: &Response<Bytes>) -> Self {
        let mut emitter = DefaultEmitter::default();
        emitter.naively_switch_states(true);
        let mut parts = Self::default();
        for token in Tokenizer::new_with_emitter(&response.body()[..], emitter).flatten() {
            match token {
                Token::StartTag(tag) => parts.open(tag),
                Token::EndTag(tag) => parts.skeleton.push(format!("/{}", string(&tag.name))),
                Token::String(text) => parts.texts.push(string(&text.value)),
                Token::Doctype(doctype) => parts.skeleton.push(format!("{doctype:?}")),
                Token::Comment(_) => parts.skeleton.push("comment".to_owned()),
                Token::Error(error) => parts.skeleton.push(format!("error {}", error.value)),
            }
        }
        parts
    }

    fn open(&mut self, tag: StartTag<()>) {
        let mut shape = vec![string(&tag.name)];
        for (attribute, value) in tag.attributes {
            let (attribute, value) = (string(&attribute), string(&value.value));
            let place = format!("{} {attribute}", shape[0]);
            if ["input value", "form action"].contains(&&*place) {
                self.values.push((attribute.clone(), value));
                shape.push(attribute);
            } else {
                shape.push(format!("{attribute}={value}"));
            }
        }
        self.skeleton.push(shape.join(" "));
    }

    /// What is read, and where the style sheet stands, that too.
    fn text(&self) -> String {
        self.texts.concat()
    }

    fn value(&self, name: &str) -> Option<&str> {
        let mut values = self.values.iter();
        values.find(|(known, _)| known == name).map(|(_, v)| &**v)
    }
}

fn string(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn url(text: &str) -> Url {
    text.parse().unwrap()
}

/// A consent page's values.
struct Asked {
    name: Option<String>,
    document: Option<Url>,
    redirect_uri: Url,
    ability: String,
    request: String,
}

impl Asked {
    fn of(document: Option<&str>, redirect_uri: &str) -> Self {
        Self {
            name: Some("Client".to_owned()),
            document: document.map(url),
            redirect_uri: url(redirect_uri),
            ability: "read".to_owned(),
            request: "sealed".to_owned(),
        }
    }

    fn response(&self) -> Response<Bytes> {
        consent(&Consent {
            service: "Service",
            client_name: self.name.as_deref(),
            identity: match &self.document {
                Some(url) => Identity::Document(url),
                None => Identity::Registered,
            },
            redirect_uri: &self.redirect_uri,
            part: None,
            abilities: &[&self.ability],
            provider: &url("https://login.test:8443/authorize"),
            action: "/authorize",
            request: &self.request,
        })
    }

    fn text(&self) -> String {
        Parts::of(&self.response()).text()
    }
}

/// What tries to be more than text.
fn hostile() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[<>&\"'/=;# \t\r\n\\x00a-z!\\-“”\u{202e}\u{2066}\u{200b}\u{301}]{0,90}",
        "(<script>|</style>|</title>|<!--|&lt;|&#x3c;|\"><b |' onclick=x |]]>|`){0,6}",
    ]
}

fn any_redirect_uri() -> impl Strategy<Value = Url> {
    let parts = (
        "(https://a\\.test|http://127\\.0\\.0\\.1:80|cursor:|x-y\\.z://)",
        hostile(),
    );
    parts.prop_filter_map("no URL", |(start, end)| {
        format!("{start}/{end}").parse().ok()
    })
}

proptest! {
    #[test]
    fn no_value_of_a_stranger_changes_the_consent_page(
        name in prop::option::of(hostile()),
        is_document: bool,
        redirect_uri in any_redirect_uri(),
        ability in hostile(),
        request in hostile(),
    ) {
        let harmless = |text: &str| if plain(text, 60).is_empty() { "" } else { "x" }.to_owned();
        let document = is_document.then(|| url("https://b.test/client"));
        let tame = Asked {
            name: name.as_deref().map(harmless),
            document: document.clone(),
            redirect_uri: match Destination::of(&redirect_uri) {
                Destination::Web(_) => url("https://x.test/"),
                Destination::Loopback => url("http://127.0.0.1/"),
                Destination::Scheme(_) => url("x:/"),
            },
            ability: "x".to_owned(),
            request: "x".to_owned(),
        };
        let clean: String = ability.chars().filter(|c| !c.is_control()).collect();
        let secret: String = request.chars().filter(|c| !c.is_control()).collect();
        let asked = Asked { name, document, redirect_uri, ability: clean, request: secret };
        let (wild, tame) = (Parts::of(&asked.response()), Parts::of(&tame.response()));
        // Noncharacters are reported where they stand, and shown as nothing.
        let shape = |parts: &Parts| -> Vec<String> {
            let no_error = |part: &&String| *part != "error noncharacter-in-input-stream";
            parts.skeleton.iter().filter(no_error).cloned().collect()
        };
        prop_assert_eq!(shape(&wild), shape(&tame));
        prop_assert_eq!(wild.value("value"), Some(&*asked.request));
        prop_assert_eq!(wild.value("action"), Some("/authorize"));
    }

    #[test]
    fn no_text_of_a_stranger_changes_the_page_of_a_problem(detail in hostile(), id in hostile()) {
        let page = |detail, id| Parts::of(&problem(&Problem {
            status: StatusCode::BAD_REQUEST, service: "Service", title: "Title", happened: "It.",
            advice: Some("Do."), back: None, detail: Some(detail), request_id: Some(id),
        }));
        let wild = page(&detail, &id);
        prop_assert_eq!(wild.skeleton, page("x", "x").skeleton);
        prop_assert!(wild.texts.iter().any(|text| *text == plain(&detail, 500)) || plain(&detail, 500).is_empty());
    }

    #[test]
    fn a_name_is_one_short_line_of_what_is_seen(name in hostile()) {
        let shown = plain(&name, 60);
        prop_assert!(shown.chars().count() <= 61, "{shown:?}");
        for character in shown.chars() {
            let category = get_general_category(character);
            prop_assert!(!matches!(category, GeneralCategory::Control | GeneralCategory::Format), "{shown:?}");
            prop_assert!(!"\"“”«»".contains(character), "{shown:?}");
        }
        prop_assert_eq!(plain(&shown, 61), shown);
    }
}

#[test]
fn the_policy_allows_the_style_of_the_page_and_nothing_else() {
    let end = finished(&Finished {
        service: "Service",
        title: "Title",
        text: "Text.",
    });
    let asked = Asked::of(None, "https://a.test/").response();
    for (response, form) in [(asked, ""), (end, "; form-action 'none'")] {
        let parts = Parts::of(&response);
        let style = parts
            .texts
            .iter()
            .find(|text| text.contains("color-scheme"));
        let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, style.unwrap().as_bytes());
        let expected = format!(
            "default-src 'none'; style-src 'sha256-{}'; base-uri 'none'; frame-ancestors 'none'{form}",
            STANDARD.encode(hash)
        );
        assert_eq!(
            response.headers()[header::CONTENT_SECURITY_POLICY],
            expected
        );
        let inline = |part: &&String| part.contains(" style=") || part.contains(" on");
        assert_eq!(parts.skeleton.iter().find(inline), None);
    }
}

#[test]
fn a_page_is_for_one_browser_and_in_no_frame() {
    let response = Asked::of(None, "https://a.test/").response();
    assert_eq!(response.status(), StatusCode::OK);
    for (name, value) in [
        ("content-type", "text/html; charset=utf-8"),
        ("cache-control", "no-store"),
        ("x-frame-options", "DENY"),
        ("x-content-type-options", "nosniff"),
        // Its form is posted with an origin.
        ("referrer-policy", "same-origin"),
    ] {
        assert_eq!(response.headers()[name], value, "{name}");
    }
    // A client's page would lose the window that it opened.
    assert!(
        !response
            .headers()
            .contains_key("cross-origin-opener-policy")
    );
}

#[test]
fn the_page_says_who_asks_where_the_answer_goes_and_what_is_next() {
    let document = Some("https://a.test/client");
    for (document, redirect_uri, said) in [
        (
            document,
            "https://a.test/cb",
            ["Verified address a.test", "go back to a.test"],
        ),
        (
            document,
            "http://127.0.0.1:9/cb",
            ["Verified address a.test", "an app on this computer"],
        ),
        (
            None,
            "http://localhost:9/cb",
            ["Not verified", "an app on this computer"],
        ),
        (
            document,
            "cursor://x/cb",
            ["Verified address a.test", "opens cursor: links"],
        ),
        (
            None,
            "cursor://x/cb",
            ["Not verified", "opens cursor: links"],
        ),
    ] {
        let text = Asked::of(document, redirect_uri).text();
        for words in said
            .iter()
            .chain(&["“Client”", "You log in at login.test:8443"])
        {
            assert!(text.contains(words), "{redirect_uri}: no {words} in {text}");
        }
        assert!(!text.contains("Warning"), "{redirect_uri}");
        let is_doubtful = document.is_some() && !redirect_uri.starts_with("https");
        assert_eq!(
            text.contains("pass itself off"),
            is_doubtful,
            "{redirect_uri}"
        );
    }
}

#[test]
fn a_host_that_nobody_vouches_for_is_a_warning() {
    for (document, redirect_uri, said) in [
        (
            Some("https://a.test/client"),
            "https://b.test/cb",
            "by a.test, but access goes to b.test.",
        ),
        (
            Some("https://a.test/client"),
            "https://a.test:444/cb",
            "but access goes to a.test:444.",
        ),
        (
            Some("https://a.test/client"),
            "https://x.a.test/cb",
            "but access goes to x.a.test.",
        ),
        (None, "https://b.test/cb", "Access goes to b.test."),
    ] {
        let text = Asked::of(document, redirect_uri).text();
        assert!(text.contains("Warning."), "{redirect_uri}: {text}");
        assert!(text.contains(said), "{redirect_uri}: no {said} in {text}");
    }
}

#[test]
fn a_client_without_a_name_to_show_has_none() {
    for name in [None, Some(""), Some(" \u{200b}\u{3164}")] {
        let asked = Asked {
            name: name.map(str::to_owned),
            ..Asked::of(None, "cursor://x/cb")
        };
        assert!(asked.text().contains("An app without a name"), "{name:?}");
    }
}

#[test]
fn the_form_has_the_request_and_a_decision() {
    let parts = Parts::of(&Asked::of(None, "cursor://x/cb").response());
    assert_eq!(parts.value("value"), Some("sealed"));
    let buttons = parts
        .skeleton
        .iter()
        .filter(|part| part.starts_with("button"));
    let buttons: Vec<_> = buttons.map(String::as_str).collect();
    assert_eq!(
        buttons,
        [
            "button class=primary name=decision type=submit value=allow",
            "button name=decision type=submit value=deny"
        ]
    );
    let form = |part: &&String| part.starts_with("form");
    assert_eq!(
        parts.skeleton.iter().find(form).unwrap(),
        "form action method=post"
    );
}

#[test]
fn a_problem_keeps_its_status_and_its_technical_details_apart() {
    let response = problem(&Problem {
        status: StatusCode::BAD_GATEWAY,
        service: "Service",
        title: "No login just now",
        happened: "The login page does not answer.",
        advice: Some("Try again in a minute."),
        back: None,
        detail: Some("timeout"),
        request_id: Some("r-1"),
    });
    assert_eq!(response.status(), StatusCode::BAD_GATEWAY);
    let text = Parts::of(&response).text();
    let (said, details) = text.split_once("If you ask for help").unwrap();
    assert!(
        said.contains("What you can do: Try again in a minute."),
        "{said}"
    );
    for word in ["timeout", "r-1", "502"] {
        assert!(details.contains(word) && !said.contains(word), "{word}");
    }
}
