//! How much callers may do: the limits of `mcp-fleet`, counted where the HTTP edge and the way to
//! BrainGrid ask.

use std::sync::Arc;

use mcp_core::{Effect, OutgoingLimit, TakeOne, ToolSet};
use mcp_fleet::{Counted, Limits, Scope, Spending};
use mcp_session::{Keyring, Rate, RedisStore, Session};
use mcp_transport_http::{AddressBucket, CallLimits, RequestPreview};

use crate::config::RateSettings;

/// The limits, on all instances together where something is shared.
pub(crate) fn limits(
    settings: RateSettings,
    facts: Option<RedisStore>,
    keyring: Keyring,
) -> Limits {
    let rates = move |scope, organization: Option<&str>| rate(&settings, scope, organization);
    match facts {
        Some(facts) => Limits::shared(Arc::new(facts), Arc::new(keyring), rates),
        None => Limits::in_process(rates),
    }
}

/// How large a budget is. The one place that knows, for all organizations alike.
fn rate(settings: &RateSettings, scope: Scope, _organization: Option<&str>) -> Option<Rate> {
    match scope {
        Scope::Tenant => settings.tenant,
        Scope::User => settings.user,
        Scope::Read => settings.reads,
        Scope::Write => settings.writes,
        Scope::Expensive => settings.expensive,
        Scope::Address => settings.address,
        Scope::Upstream => settings.api,
        _ => None,
    }
}

/// What the HTTP edge counts.
pub(crate) fn of_calls(limits: &Limits, tools: ToolSet) -> CallLimits {
    let (calls, strangers) = (limits.clone(), limits.clone());
    CallLimits::new(
        move |session, request| count(&calls, &tools, session, request),
        move |address| stranger(&strangers, address),
    )
}

/// A tool call counts for the organization, the user, and what the tool does. Everything else asks
/// BrainGrid nothing, and counts for the user alone: a loud colleague leaves everybody the tools' list.
fn count(
    limits: &Limits,
    tools: &ToolSet,
    session: &Session,
    request: &RequestPreview<'_>,
) -> Spending {
    let principal = session.principal();
    let organization = principal.organization();
    let user = [principal.issuer(), principal.subject()];
    let tenant = organization.as_slice();
    let counted = |scope, of| Counted {
        scope,
        of,
        organization,
    };
    let of_user = counted(Scope::User, &user);
    if request.method != "tools/call" {
        return limits.spend(&[of_user]);
    }
    let tenant = if tenant.is_empty() { &user[..] } else { tenant };
    let of_tenant = counted(Scope::Tenant, tenant);
    let effect = request.tool.as_deref().and_then(|tool| tools.effect(tool));
    match effect.and_then(scope) {
        Some(scope) => limits.spend(&[of_tenant, of_user, counted(scope, &user)]),
        None => limits.spend(&[of_tenant, of_user]),
    }
}

fn scope(effect: Effect) -> Option<Scope> {
    match effect {
        Effect::Read => Some(Scope::Read),
        Effect::Write => Some(Scope::Write),
        Effect::Slow => Some(Scope::Expensive),
        _ => None,
    }
}

fn stranger(limits: &Limits, address: AddressBucket) -> Spending {
    limits.spend(&[Counted {
        scope: Scope::Address,
        of: &[&address.to_string()],
        organization: None,
    }])
}

/// How fast requests may leave for BrainGrid, if that is limited.
pub(crate) fn outgoing(limits: &Limits, settings: &RateSettings) -> Option<OutgoingLimit> {
    let limits = limits.clone();
    let every = settings.api?.every();
    let take: TakeOne = Arc::new(move || {
        let spending = limits.spend(&[Counted {
            scope: Scope::Upstream,
            of: &[],
            organization: None,
        }]);
        Box::pin(async { spending.done().await.map_err(|limited| limited.retry_after) })
    });
    Some(OutgoingLimit { every, take })
}
