//! Settings: who is let in no more, although the token is good by itself.

use std::path::PathBuf;
use std::time::Duration;

use mcp_auth::WorkosEvent;
use secrecy::SecretString;

use super::{Group, Kind, Setting, Spec, UsedBy, WithDefault};
use crate::config::parse::{endpoints, identity, numbers, secrets, words};

settings! {
    DENIALS_MAX_AGE: Setting<Duration> = Setting::new(
        Group::Revocation, UsedBy::Http, "denials_max_age", &["DENIALS_MAX_AGE"],
        numbers::duration_within::<90, 86_400>,
    )
        .says(
            "Refuse writes when what is denied is older",
            "An instance reads all denials at its start and once a minute. Where it could not for so long, or not \
             yet, it refuses writes; reads go on. Unset: it goes by what it knows. From 90 seconds to a day.",
        );

    DENIALS_FILE: Setting<PathBuf> = Setting::new(
        Group::Revocation, UsedBy::Http, "denials_file", &["DENIALS_FILE"],
        words::path,
    )
        .kind(Kind::Path)
        .says(
            "File that keeps denials",
            "For this instance alone, sealed with `ENCRYPTION_KEY`, which it needs. Without it, denials are lost when \
             Redis and all instances are lost at the same time.",
        );

    EVENTS_ISSUER: Setting<String> = Setting::new(
        Group::Revocation, UsedBy::Http, "events_issuer", &["EVENTS_ISSUER"],
        endpoints::issuer,
    )
        .says(
            "Whose users events are about",
            "The issuer of the tokens that what is told below ends. Needed where there are several.",
        );

    WORKOS_WEBHOOK_SECRET: Setting<SecretString> = Setting::new(
        Group::Revocation, UsedBy::Http, "workos_webhook_secret", &["WORKOS_WEBHOOK_SECRET"],
        secrets::event_secret,
    )
        .secret()
        .says(
            "Secret of the webhook at WorkOS",
            "Takes events of WorkOS in at `/events/workos`.",
        );

    WORKOS_WEBHOOK_EVENTS: WithDefault<WorkosEvent> = Setting::new(
        Group::Revocation, UsedBy::Http, "workos_webhook_events", &["WORKOS_WEBHOOK_EVENTS"],
        identity::workos_event,
    )
        .kind(Kind::List)
        .default("user.deleted,organization_membership.deleted")
        .says(
            "Events of WorkOS that sign out",
            "Also `session.revoked`, which is sent for an ordinary sign-out on the web, too.",
        );

    AUTH0_EVENTS_TOKEN: Setting<SecretString> = Setting::new(
        Group::Revocation, UsedBy::Http, "auth0_events_token", &["AUTH0_EVENTS_TOKEN"],
        secrets::event_secret,
    )
        .secret()
        .says(
            "Token of the event stream of Auth0",
            "Takes its events, and those of a log stream, in at `/events/auth0`. Make one with \
             `openssl rand -hex 32`, and give it to the stream.",
        );

    BACKCHANNEL_LOGOUT_CLIENTS: Setting<String> = Setting::new(
        Group::Revocation, UsedBy::Http, "backchannel_logout_clients", &["BACKCHANNEL_LOGOUT_CLIENTS"],
        identity::audience,
    )
        .kind(Kind::List)
        .says(
            "Clients whose logouts sign out",
            "Their ids at the issuer, which are the audience of its logout tokens (OpenID Connect Back-Channel \
             Logout), taken in at `/events/backchannel-logout`. With `[authorization_server]`: its client at the \
             provider.",
        );

    SECURITY_EVENTS_TRANSMITTER: Setting<String> = Setting::new(
        Group::Revocation, UsedBy::Http, "security_events_transmitter", &["SECURITY_EVENTS_TRANSMITTER"],
        endpoints::issuer,
    )
        .says(
            "Transmitter of security events",
            "Its issuer identifier. What it pushes (RFC 8935; CAEP, RISC) is taken in at `/events/set`.",
        );

    SECURITY_EVENTS_AUDIENCES: Setting<String> = Setting::new(
        Group::Revocation, UsedBy::Http, "security_events_audiences", &["SECURITY_EVENTS_AUDIENCES"],
        identity::audience,
    )
        .kind(Kind::List)
        .says("What it calls this server", "The `aud` of its events. Needed with it.");

    SECURITY_EVENTS_JWKS_URI: Setting<String> = Setting::new(
        Group::Revocation, UsedBy::Http, "security_events_jwks_uri", &["SECURITY_EVENTS_JWKS_URI"],
        endpoints::key_set_url,
    )
        .says(
            "Its key set",
            "Only where it has no metadata as an issuer: `jwks_uri` of its `ssf-configuration`.",
        );

    SECURITY_EVENTS_TOKEN: Setting<SecretString> = Setting::new(
        Group::Revocation, UsedBy::Http, "security_events_token", &["SECURITY_EVENTS_TOKEN"],
        secrets::event_secret,
    )
        .secret()
        .says(
            "Token that it sends with them",
            "What the stream was given as `authorization_header`, where it was given one; the events are \
             signed in any case.",
        );
}
