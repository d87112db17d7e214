//! What the API is called with: the settings `UPSTREAM_…`, or the table `[issuers.upstream]` of an
//! issuer, by the same rules; and whether the callers' tokens are passed on to a service they do not
//! name.

mod place;

use mcp_auth::{ClientAuthentication, ClientKey, ExchangeConfig, ExchangeGrant, Preset};
use secrecy::ExposeSecret as _;
use url::Url;
use zeroize::Zeroizing;

use super::issuers::IssuerSettings;
use super::layers::Origin;
use super::parse::words::{ClientMethod, UpstreamMode};
use super::problem::Problem;
use super::reader::{Reader, Table};
use super::settings::{
    self, Group, ISSUERS, Spec, UPSTREAM_AUDIENCE, UPSTREAM_CLIENT_AUTHENTICATION,
    UPSTREAM_CLIENT_ID, UPSTREAM_CLIENT_KEY, UPSTREAM_CLIENT_KEY_ID, UPSTREAM_CLIENT_SECRET,
    UPSTREAM_MODE, UPSTREAM_RESOURCE, UPSTREAM_SCOPES, UPSTREAM_TOKEN_ENDPOINT,
};
use place::Place;

/// What the API is called with for the users of one issuer.
#[derive(Debug, Clone)]
pub(crate) enum UpstreamSettings {
    /// Their own tokens, which have to name this audience of the API.
    SameAudience(String),
    /// Tokens that the issuer gives for theirs.
    Exchange(ExchangeConfig),
    /// What their tokens hold, which our own authorization server sealed.
    Granted,
}

/// The settings that stand for one issuer's table, with their names in it: all but the audience,
/// which alone is also for issuers without a table.
pub(crate) fn of_one_issuer() -> impl Iterator<Item = (&'static Spec, &'static str)> {
    settings::all()
        .filter(|it| it.group == Group::Upstream && it.key != UPSTREAM_AUDIENCE.key)
        .map(|it| (it, place::key(it)))
}

/// Whether more than the audience is set.
pub(crate) fn is_chosen(reader: &Reader) -> bool {
    of_one_issuer().any(|(setting, _)| reader.origin(setting) != Origin::Default)
}

/// Takes the table out of an issuer's; `None` when there is none, or when it cannot work.
pub(crate) fn read_table(
    of_issuer: &mut Table,
    issuer: &str,
    preset: Option<Preset>,
    problems: &mut Vec<Problem>,
) -> Option<UpstreamSettings> {
    let table = of_issuer.table("upstream", problems)?;
    read(Place::Table(table, problems), issuer, preset)
}

/// Reads the settings for the issuer of `OAUTH_ISSUER`; `None` when no more than the audience is
/// there, or when they cannot work.
pub(crate) fn read_settings(
    reader: &mut Reader,
    issuer: &str,
    preset: Option<Preset>,
) -> Option<UpstreamSettings> {
    if !is_chosen(reader) {
        return None;
    }
    read(Place::Settings(reader), issuer, preset)
}

fn read(mut place: Place<'_>, issuer: &str, preset: Option<Preset>) -> Option<UpstreamSettings> {
    let before = place.problems();
    let read = match place.optional(&UPSTREAM_MODE) {
        Some(UpstreamMode::SameAudience) => same_audience(&mut place),
        Some(UpstreamMode::Exchange) => {
            exchange(&mut place, issuer, preset).map(UpstreamSettings::Exchange)
        }
        None => {
            if place.problems() == before {
                let fix = "set it to exchange, or to same-audience";
                place.report(&UPSTREAM_MODE, "it is missing", fix);
            }
            return None;
        }
    };
    let is_read = place.problems() == before;
    let is_all = place.finish();
    read.filter(|_| is_read && is_all)
}

/// What only an exchange needs is no slip: whoever wrote it meant one.
fn same_audience(place: &mut Place<'_>) -> Option<UpstreamSettings> {
    for (setting, _) in of_one_issuer().filter(|(it, _)| it.key != UPSTREAM_MODE.key) {
        if place.take(setting) {
            let mode = place.name(&UPSTREAM_MODE);
            let fix = format!("remove it, or set {mode} to exchange");
            place.report(
                setting,
                "it goes with exchange, not with same-audience",
                &fix,
            );
        }
    }
    let before = place.problems();
    let audience = place.optional(&UPSTREAM_AUDIENCE);
    if audience.is_none() && place.problems() == before {
        let fix = "set it to the audience that the API accepts";
        place.report(&UPSTREAM_AUDIENCE, "it is missing", fix);
    }
    audience.map(UpstreamSettings::SameAudience)
}

fn exchange(place: &mut Place<'_>, issuer: &str, preset: Option<Preset>) -> Option<ExchangeConfig> {
    let before = place.problems();
    let client = place.optional(&UPSTREAM_CLIENT_ID);
    if client.is_none() && place.problems() == before {
        let fix = "set it to the id of the client that may exchange tokens";
        place.report(&UPSTREAM_CLIENT_ID, "it is missing", fix);
    }
    let in_form = preset.is_some_and(Preset::takes_secret_in_form);
    let authentication = authentication(place, in_form);
    let audience = place.optional(&UPSTREAM_AUDIENCE);
    let resource = place.optional(&UPSTREAM_RESOURCE);
    let scopes = super::build::once(place.list(&UPSTREAM_SCOPES));
    let endpoint = place.optional(&UPSTREAM_TOKEN_ENDPOINT);
    let mut config = ExchangeConfig::new(issuer, client?, authentication?);
    (config.audience, config.resource) = (audience, resource);
    (config.scopes, config.token_endpoint) = (scopes, endpoint);
    if let Some(preset) = preset {
        preset.apply_to_exchange(&mut config);
    }
    let by_scope = config.grant == ExchangeGrant::OnBehalfOf && !config.scopes.is_empty();
    if config.audience.is_none() && config.resource.is_none() && !by_scope {
        let (audience, resource) = (
            place.name(&UPSTREAM_AUDIENCE),
            place.name(&UPSTREAM_RESOURCE),
        );
        let fix = format!("set {audience} or {resource}, as the issuer names the BrainGrid API");
        place.report(&UPSTREAM_AUDIENCE, "nothing names the API", &fix);
    }
    Some(config)
}

/// How this server proves who it is at another one: by the keys of a table of its own.
pub(super) fn authentication_in(
    table: &mut Table,
    in_form: bool,
    problems: &mut Vec<Problem>,
) -> Option<ClientAuthentication> {
    let mut place = Place::Table(std::mem::take(table), problems);
    let read = authentication(&mut place, in_form);
    if let Place::Table(rest, _) = place {
        *table = rest;
    }
    read
}

/// How the client proves who it is: by the one thing that is given.
fn authentication(place: &mut Place<'_>, in_form: bool) -> Option<ClientAuthentication> {
    let before = place.problems();
    let chosen = place.optional(&UPSTREAM_CLIENT_AUTHENTICATION);
    let secret = place.secret(&UPSTREAM_CLIENT_SECRET);
    let key = key(place);
    if place.problems() > before {
        return None;
    }
    match (secret, key, chosen) {
        (Some(secret), None, None | Some(ClientMethod::Basic | ClientMethod::Post)) => {
            let secret = Zeroizing::new(secret.expose_secret().to_owned());
            let posted = chosen.map_or(in_form, |chosen| chosen == ClientMethod::Post);
            Some(if posted {
                ClientAuthentication::SecretPost(secret)
            } else {
                ClientAuthentication::SecretBasic(secret)
            })
        }
        (None, Some(key), None | Some(ClientMethod::Key)) => {
            Some(ClientAuthentication::PrivateKeyJwt(key))
        }
        (Some(_), Some(_), _) => {
            let what = "a secret and a key are both set";
            place.report(&UPSTREAM_CLIENT_KEY, what, "keep one of them");
            None
        }
        (None, None, _) => {
            let what = "nothing proves that this server is that client";
            let (secret, key) = (
                place.file_name(&UPSTREAM_CLIENT_SECRET),
                place.file_name(&UPSTREAM_CLIENT_KEY),
            );
            let fix = format!("set {secret} or {key}");
            place.report(&UPSTREAM_CLIENT_SECRET, what, &fix);
            None
        }
        _ => {
            let key = place.file_name(&UPSTREAM_CLIENT_KEY);
            let fix = format!("private_key_jwt goes with {key}, the others with a secret");
            place.report(
                &UPSTREAM_CLIENT_AUTHENTICATION,
                "it does not go with what is set",
                &fix,
            );
            None
        }
    }
}

fn key(place: &mut Place<'_>) -> Option<ClientKey> {
    let id = place.optional(&UPSTREAM_CLIENT_KEY_ID);
    let is_set = place.has(&UPSTREAM_CLIENT_KEY);
    let key = place.secret(&UPSTREAM_CLIENT_KEY);
    let Some(id) = id else {
        return key;
    };
    if !is_set {
        let key = place.file_name(&UPSTREAM_CLIENT_KEY);
        let fix = format!("set {key}, or remove it");
        place.report(&UPSTREAM_CLIENT_KEY_ID, "it is set, and no key is", &fix);
    }
    key.map(|key| key.named(id))
}

/// Whether the API is called with tokens that are for this server itself: its own resource is named,
/// and the API is somebody else, on another origin.
pub(crate) fn check_own(
    reader: &mut Reader,
    resource: &str,
    api: &str,
    issuers: &[IssuerSettings],
) {
    let origin = |url: &str| Url::parse(url).ok().map(|url| url.origin());
    if origin(resource) == origin(api) {
        return;
    }
    let all = || issuers.iter().filter_map(|it| it.upstream.as_ref());
    let shared = |it: &UpstreamSettings| matches!(it, UpstreamSettings::SameAudience(audience) if audience == resource);
    if all().any(shared) {
        reader.warnings.push(format!(
            "UPSTREAM_AUDIENCE is this server's own resource ({resource}), and BRAINGRID_API_URL is \
             another origin: every caller's token is sent on to {api}, which no token has to name; \
             let the issuer exchange tokens (UPSTREAM_MODE), or unless both are one resource by \
             agreement, set UPSTREAM_AUDIENCE to the audience that the API accepts, and let the \
             authorization server put it into aud beside the resource"
        ));
    }
    let own = |it: &UpstreamSettings| match it {
        UpstreamSettings::Exchange(config) => [&config.audience, &config.resource]
            .into_iter()
            .flatten()
            .any(|api| api == resource),
        UpstreamSettings::SameAudience(_) | UpstreamSettings::Granted => false,
    };
    if all().any(own) {
        let named: [&Spec; 2] = [&UPSTREAM_AUDIENCE, &UPSTREAM_RESOURCE];
        let is_set = |it: &&Spec| is_chosen(reader) && reader.origin(it) != Origin::Default;
        let setting = named.into_iter().find(is_set).unwrap_or(&ISSUERS);
        reader.report(
            setting,
            "tokens are exchanged for this server's own resource, which the API need not take",
            "name the BrainGrid API instead, as the issuer knows it",
        );
    }
}
