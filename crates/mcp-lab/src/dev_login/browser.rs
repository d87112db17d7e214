//! As much of a browser as a login needs: cookies, redirects, and forms without scripts.

use std::collections::BTreeMap;

use anyhow::{Context as _, ensure};
use reqwest::{Client, Method, RequestBuilder, Response, header};
use url::Url;

/// More redirects in a row are a circle.
const REDIRECTS: usize = 10;

pub(super) struct Browser {
    http: Client,
    /// By name: everything here is on one host, whose ports share their cookies.
    cookies: BTreeMap<String, String>,
    /// Where the client waits.
    redirect_uri: String,
}

/// Where a request ends.
pub(super) enum Arrived {
    Page(Page),
    /// The client's redirect URI, with the answer.
    Back(Url),
}

/// A page that somebody was shown.
pub struct Page {
    /// Where it came from.
    pub url: Url,
    /// What it says.
    pub html: String,
}

impl Browser {
    pub(super) fn new(http: Client, redirect_uri: &str) -> Self {
        Self {
            http,
            cookies: BTreeMap::new(),
            redirect_uri: redirect_uri.to_owned(),
        }
    }

    pub(super) async fn open(&mut self, url: Url) -> anyhow::Result<Arrived> {
        let request = self.http.get(url.clone());
        self.follow(url, request).await
    }

    /// Sends the page's form with this button, as the browser does.
    pub(super) async fn press(&mut self, page: &Page, button: &str) -> anyhow::Result<Arrived> {
        let (action, fields) = page.form(button)?;
        let url = page.url.join(&action)?;
        let request = self.http.request(Method::POST, url.clone());
        let origin = page.url.origin().ascii_serialization();
        let request = request.header(header::ORIGIN, origin).form(&fields);
        self.follow(url, request).await
    }

    async fn follow(&mut self, mut url: Url, first: RequestBuilder) -> anyhow::Result<Arrived> {
        let mut request = first;
        for _ in 0..REDIRECTS {
            let cookies = self.cookies.iter();
            let cookies: Vec<_> = cookies.map(|(name, it)| format!("{name}={it}")).collect();
            let request_now = request.header(header::COOKIE, cookies.join("; "));
            let answer = request_now.send().await?;
            self.keep_cookies(&answer)?;
            if !answer.status().is_redirection() {
                let status = answer.status();
                ensure!(status.is_success(), "{} answers {status}", url.path());
                let html = answer.text().await?;
                return Ok(Arrived::Page(Page { url, html }));
            }
            let location = answer.headers().get(header::LOCATION);
            url = url.join(location.context("a redirect to nowhere")?.to_str()?)?;
            if url.as_str().starts_with(&self.redirect_uri) {
                return Ok(Arrived::Back(url));
            }
            request = self.http.get(url.clone());
        }
        anyhow::bail!(
            "more than {REDIRECTS} redirects, the last to {}",
            url.path()
        )
    }

    fn keep_cookies(&mut self, answer: &Response) -> anyhow::Result<()> {
        for line in answer.headers().get_all(header::SET_COOKIE) {
            let pair = line.to_str()?.split(';').next().unwrap_or_default();
            let (name, value) = pair.split_once('=').context("a cookie without a name")?;
            if value.is_empty() {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        Ok(())
    }
}

impl Page {
    /// Where its form goes, and what it says when this button is pressed.
    fn form(&self, button: &str) -> anyhow::Result<(String, Vec<(String, String)>)> {
        let tags = |name: &str| {
            let opening = format!("<{name} ");
            let parts = self.html.split(opening.as_str()).skip(1);
            parts
                .filter_map(|part| part.split_once('>'))
                .collect::<Vec<_>>()
        };
        let forms = tags("form");
        let (form, _) = forms.first().context("the page asks nothing")?;
        let pressed = tags("button")
            .into_iter()
            .find(|(_, rest)| rest.trim_start().starts_with(&format!("{button}<")))
            .with_context(|| format!("the page has no button `{button}`"))?;
        let hidden = tags("input").into_iter().chain([pressed]);
        let fields =
            hidden.filter_map(|(tag, _)| Some((attribute(tag, "name")?, attribute(tag, "value")?)));
        let action = attribute(form, "action").context("the form goes nowhere")?;
        Ok((action, fields.collect()))
    }
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let (_, value) = tag.split_once(&format!("{name}=\""))?;
    let (value, _) = value.split_once('"')?;
    let value = value.replace("&quot;", "\"").replace("&lt;", "<");
    Some(value.replace("&gt;", ">").replace("&amp;", "&"))
}
