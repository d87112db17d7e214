//! What is set for single organizations: the tables `[tenants."org_…"]`.

use std::collections::HashMap;

use mcp_core::OrganizationId;

use super::issuers::{IssuerKey, IssuerSettings};
use super::parse::words;
use super::problem::Problem;
use super::reader::{Reader, Table};
use super::settings::TENANTS;
use crate::tenants::{ConfiguredTenant, TenantSettings};

const TOOLS: &str = "tools";
const READ_ONLY: &str = "read_only";
const ISSUERS: &str = "issuers";
const CLIENTS: &str = "clients";
const SUSPENDED: &str = "suspended";

/// All keys of a table.
pub(crate) const TENANT_KEYS: &[IssuerKey] = &[
    IssuerKey {
        key: TOOLS,
        default: "all of this server",
        meaning: "The tools that the organization has: names, or patterns in which `*` stands for any \
                  part of a name (`list_*`). Others are not listed for it, and a call is told why.",
    },
    IssuerKey {
        key: READ_ONLY,
        default: "`false`",
        meaning: "Whether it has only tools that change nothing.",
    },
    IssuerKey {
        key: ISSUERS,
        default: "all of this server",
        meaning: "The authorization servers whose logins it takes; others get 403. The metadata of its \
                  own address name these alone: that is public.",
    },
    IssuerKey {
        key: CLIENTS,
        default: "all",
        meaning: "The OAuth clients that it lets in, as tokens name them (`client_id`, else `azp`); \
                  others get 403.",
    },
    IssuerKey {
        key: SUSPENDED,
        default: "`false`",
        meaning: "Whether nobody of it is let in: 403. At run time `braingrid-mcp suspend` and \
                  `resume` do it.",
    },
];

/// Reads them, whatever else is configured: `issuers` are those of this server.
pub(crate) fn read(
    reader: &mut Reader,
    issuers: &[IssuerSettings],
) -> HashMap<String, ConfiguredTenant> {
    let Some(mut tables) = reader.table(&TENANTS) else {
        return HashMap::new();
    };
    let known: Vec<_> = issuers
        .iter()
        .map(|it| it.accepted.issuer.clone())
        .collect();
    let problems = &mut reader.problems;
    let mut tenants = HashMap::new();
    for name in tables.names() {
        let Ok(organization) = name.parse::<OrganizationId>() else {
            let fix = "write the id as tokens have it, in quotation marks: [tenants.\"org_01…\"]";
            problems.push(tables.problem(&name, "it is no organization id", fix));
            tables.drop(&name);
            continue;
        };
        if let Some(mut table) = tables.table(&name, problems) {
            let read = read_one(&mut table, problems);
            if let Err(bad) = read.settings.rules(read.suspended, &known) {
                let fix = "correct it, or leave it out: then it is as for everybody";
                problems.push(table.problem(bad.key, &bad.what, fix));
            }
            let keys: Vec<_> = TENANT_KEYS.iter().map(|known| known.key).collect();
            table.finish(&keys, problems);
            tenants.insert(organization.as_str().to_owned(), read);
        }
    }
    tenants
}

fn read_one(table: &mut Table, problems: &mut Vec<Problem>) -> ConfiguredTenant {
    let list = |key, table: &mut Table, problems: &mut Vec<Problem>| {
        let is_there = table.has(key);
        let list = table.list(key, words::word, problems);
        is_there.then_some(list)
    };
    let settings = TenantSettings {
        tools: list(TOOLS, table, problems),
        read_only: table.optional(READ_ONLY, words::switch, problems),
        issuers: list(ISSUERS, table, problems),
        clients: list(CLIENTS, table, problems),
    };
    let suspended = table.optional(SUSPENDED, words::switch, problems);
    ConfiguredTenant {
        settings,
        suspended: suspended.unwrap_or_default(),
    }
}
