//! Every reason for a refusal: what is answered, and who must act. 401 sends a person to a login.

use mcp_auth::{ForbiddenReason, InvalidReason, UnavailableReason};

/// The page that operators look the reasons up in.
const PAGE: &str = include_str!("../../../../docs/issuers/README.md");

/// Reason, status, who acts. Where a 401 is not for the user to mend, nothing is proven of a JWT: a
/// 403 would be about a token that anybody can make up.
const REASONS: &[(&str, &str, &str)] = &[
    ("audience", "401", "client"),
    ("expired", "401", "user"),
    ("not_yet_valid", "401", "user"),
    ("too_old", "401", "user"),
    ("issuer", "401", "operator"),
    ("malformed", "401", "client"),
    ("algorithm", "401", "operator"),
    ("type", "401", "client"),
    ("key_bound", "401", "client"),
    ("signature", "401", "client"),
    ("unknown_key", "401", "user"),
    ("inactive", "401", "user"),
    ("revoked", "401", "user"),
    ("not_exchanged", "401", "user"),
    ("not_granted", "401", "client"),
    ("claim", "401", "issuer"),
    ("critical_header", "401", "issuer"),
    ("too_large", "401", "issuer"),
    ("no_organization", "403", "user"),
    ("foreign_organization", "403", "operator"),
    ("no_subject", "403", "issuer"),
    ("odd_claim", "403", "issuer"),
    ("absurd_time", "403", "issuer"),
    ("service_principal", "403", "operator"),
    ("upstream_audience", "403", "issuer"),
    ("upstream_denied", "403", "issuer"),
    ("upstream_refused", "403", "operator"),
    ("upstream_target", "403", "issuer"),
    ("upstream_scope", "403", "issuer"),
    ("upstream_request", "403", "operator"),
    ("may_be_revoked", "403", "issuer"),
    ("unusable_key", "403", "issuer"),
    ("unavailable", "503", "operator"),
    ("clock_differs", "503", "operator"),
    ("unknown_key_cooldown", "503", "nobody"),
    ("unknown_key_unavailable", "503", "nobody"),
    ("introspection_refused", "503", "operator"),
    ("introspection_busy", "503", "nobody"),
    ("exchange_unavailable", "503", "operator"),
    ("exchange_client", "503", "operator"),
    ("exchange_busy", "503", "nobody"),
];

#[test]
fn every_reason_has_its_status_and_somebody_who_acts_on_the_page_too() {
    let unavailable = [
        UnavailableReason::Keys,
        UnavailableReason::UnknownKeyCooldown,
        UnavailableReason::UnknownKey,
        UnavailableReason::IntrospectionRefused,
        UnavailableReason::IntrospectionBusy,
        UnavailableReason::Exchange,
        UnavailableReason::ExchangeClient,
        UnavailableReason::ExchangeBusy,
        UnavailableReason::Clock,
    ];
    let mut known = Vec::new();
    known.extend(InvalidReason::LABELS.iter().map(|label| (*label, "401")));
    known.extend(ForbiddenReason::LABELS.iter().map(|label| (*label, "403")));
    known.extend(unavailable.map(|reason| (reason.label(), "503")));
    let mut listed: Vec<_> = REASONS.iter().map(|row| (row.0, row.1)).collect();
    listed.sort_unstable();
    known.sort_unstable();
    assert_eq!(listed, known);
    for &(label, status, who) in REASONS {
        let row = PAGE.lines().find_map(|line| {
            let mut cells = line.strip_prefix("| ")?.split(" | ");
            let names = cells.next()?;
            let is_it = names.split(", ").any(|it| it.trim_matches('`') == label);
            is_it.then(|| (cells.next(), cells.next()))
        });
        let (status_there, who_there) = row.unwrap_or_else(|| panic!("{label} is not on the page"));
        assert!(
            status_there.is_some_and(|it| it.starts_with(status)),
            "{label}"
        );
        assert_eq!(who_there, Some(who), "{label}");
    }
}
