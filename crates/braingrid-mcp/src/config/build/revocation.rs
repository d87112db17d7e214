//! Who is let in no more: what is kept of it, and what it is worth when it is old.

use std::path::PathBuf;
use std::time::Duration;

use mcp_auth::WorkosEvent;
use secrecy::SecretString;

use super::auth::AuthSettings;
use super::session::SessionSettings;
use crate::config::layers::Origin;
use crate::config::reader::Reader;
use crate::config::settings::{self, Spec};
use crate::provider_events::Source;

/// How denials are kept.
#[derive(Debug)]
pub(crate) struct RevocationSettings {
    /// Writes are refused when they were read longer ago.
    pub(crate) max_age: Option<Duration>,
    /// Keeps them when all else is lost.
    pub(crate) file: Option<PathBuf>,
    /// What identity providers tell, where they are listened to.
    pub(crate) events: Option<EventSettings>,
}

/// What identity providers tell.
#[derive(Debug)]
pub(crate) struct EventSettings {
    /// Whose users it is about, where that was said.
    pub(crate) issuer: Option<String>,
    /// The secret of the webhook at WorkOS.
    pub(crate) workos_secret: Option<SecretString>,
    /// Which of its events count.
    pub(crate) workos_events: Vec<WorkosEvent>,
    /// The token of the event stream of Auth0.
    pub(crate) auth0_token: Option<SecretString>,
    /// The clients whose logouts count; without any, none does.
    pub(crate) logout_clients: Vec<String>,
    /// Who pushes security events.
    pub(crate) transmitter: Option<TransmitterSettings>,
}

/// Who pushes security events.
#[derive(Debug, Clone)]
pub(crate) struct TransmitterSettings {
    /// Its issuer identifier.
    pub(crate) issuer: String,
    /// What it calls this server.
    pub(crate) audiences: Vec<String>,
    /// Its key set, where its metadata does not say.
    pub(crate) jwks_uri: Option<String>,
    /// What it sends with them, beside the signature.
    pub(crate) token: Option<SecretString>,
}

impl RevocationSettings {
    /// Whom it asks for keys, beside issuers.
    pub(crate) fn peers(&self) -> impl Iterator<Item = &str> {
        let events = self.events.iter();
        let transmitters = events.filter_map(|it| it.transmitter.as_ref());
        transmitters
            .flat_map(|it| std::iter::once(it.issuer.as_str()).chain(it.jwks_uri.as_deref()))
    }
}

impl EventSettings {
    /// Where events are taken in.
    pub(crate) fn paths(&self) -> Vec<&'static str> {
        let all = [
            (self.workos_secret.is_some(), Source::Workos),
            (self.auth0_token.is_some(), Source::Auth0),
            (!self.logout_clients.is_empty(), Source::BackchannelLogout),
            (self.transmitter.is_some(), Source::SecurityEvent),
        ];
        let on = all.iter().filter(|(is_on, _)| *is_on);
        on.map(|(_, source)| source.place().0).collect()
    }
}

pub(super) fn read_revocation(
    reader: &mut Reader,
    session: &SessionSettings,
    auth: &AuthSettings,
) -> RevocationSettings {
    let max_age = reader.optional(&settings::DENIALS_MAX_AGE);
    if max_age.is_some() && reader.value(&settings::WRITE_JOURNAL_WINDOW).is_zero() {
        reader.report(
            &settings::DENIALS_MAX_AGE,
            "writes are not remembered, and go on without being asked about",
            "set WRITE_JOURNAL_WINDOW to more than 0",
        );
    }
    let file = reader.optional(&settings::DENIALS_FILE);
    if file.is_some() && session.keys.is_none() {
        reader.report(
            &settings::ENCRYPTION_KEY,
            "it is not set, and DENIALS_FILE is sealed with it",
            "make one with: openssl rand -hex 32",
        );
    }
    RevocationSettings {
        max_age,
        file,
        events: read_events(reader, auth),
    }
}

fn read_events(reader: &mut Reader, auth: &AuthSettings) -> Option<EventSettings> {
    let events = EventSettings {
        issuer: reader.optional(&settings::EVENTS_ISSUER),
        workos_secret: reader.secret(&settings::WORKOS_WEBHOOK_SECRET),
        workos_events: reader.list(&settings::WORKOS_WEBHOOK_EVENTS),
        auth0_token: reader.secret(&settings::AUTH0_EVENTS_TOKEN),
        logout_clients: reader.list(&settings::BACKCHANNEL_LOGOUT_CLIENTS),
        transmitter: read_transmitter(reader),
    };
    if events.paths().is_empty() {
        return None;
    }
    let mut known = auth.issuers.iter().map(|it| &it.accepted.issuer);
    let fix = "name one of the issuers whose tokens are accepted here, as it is spelled there";
    match &events.issuer {
        Some(named) if known.all(|it| it != named) => {
            let what = "it is no issuer of this server, so its events would be about nobody";
            reader.report(&settings::EVENTS_ISSUER, what, fix);
        }
        None if known.len() > 1 && auth.authorization_server.is_none() => {
            let what = "there are several issuers, and events say not whose users they are about";
            reader.report(&settings::EVENTS_ISSUER, what, fix);
        }
        _ => {}
    }
    Some(events)
}

fn read_transmitter(reader: &mut Reader) -> Option<TransmitterSettings> {
    let audiences = reader.list(&settings::SECURITY_EVENTS_AUDIENCES);
    let jwks_uri = reader.optional(&settings::SECURITY_EVENTS_JWKS_URI);
    let token = reader.secret(&settings::SECURITY_EVENTS_TOKEN);
    let Some(issuer) = reader.optional(&settings::SECURITY_EVENTS_TRANSMITTER) else {
        let others: [&Spec; 3] = [
            &settings::SECURITY_EVENTS_AUDIENCES,
            &settings::SECURITY_EVENTS_JWKS_URI,
            &settings::SECURITY_EVENTS_TOKEN,
        ];
        for other in others {
            if reader.origin(other) != Origin::Default {
                let what = "SECURITY_EVENTS_TRANSMITTER is not set, so it does nothing";
                reader.report(other, what, "set that one too, or unset this");
            }
        }
        return None;
    };
    if audiences.is_empty() {
        let what = "it is missing: an event for somebody else would be taken in";
        let fix = "write the aud of the events, as the stream at the transmitter has it";
        reader.report(&settings::SECURITY_EVENTS_AUDIENCES, what, fix);
    }
    Some(TransmitterSettings {
        issuer,
        audiences,
        jwks_uri,
        token,
    })
}
