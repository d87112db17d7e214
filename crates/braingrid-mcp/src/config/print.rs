//! The settings as text: what is in effect, and the documentation.

use std::fmt::Write as _;

use strum::VariantArray as _;

use super::Effective;
use super::authorization_server;
use super::issuers::{self, IssuerKey};
use super::settings::{self, Group, Kind, Spec, UsedBy};
use super::tenants;

/// The settings in effect, with where each comes from. Secrets are redacted.
pub(crate) fn effective_text(effective: &[Effective]) -> String {
    let width = effective
        .iter()
        .map(|entry| entry.setting.key.len())
        .max()
        .unwrap_or_default();
    let mut text = String::new();
    for entry in effective {
        let key = entry.setting.key;
        let _ = match &entry.value {
            Some(value) => writeln!(text, "{key:width$} = {value}  ({})", entry.origin),
            None => writeln!(text, "{key:width$}   (not set)"),
        };
    }
    text
}

/// The same as a JSON object, for scripts.
pub(crate) fn effective_json(effective: &[Effective]) -> serde_json::Value {
    let entries = effective.iter().map(|entry| {
        let described = serde_json::json!({
            "value": entry.value,
            "source": entry.value.as_ref().map(|_| entry.origin.kind()),
            "from": entry.value.as_ref().map(|_| entry.origin.to_string()),
            "secret": entry.setting.secret,
        });
        (entry.setting.key.to_owned(), described)
    });
    serde_json::Value::Object(entries.collect())
}

/// `docs/configuration.md`.
pub(crate) fn documentation() -> String {
    let mut text = INTRODUCTION.to_owned();
    for &group in Group::VARIANTS {
        let _ = write!(text, "\n## {}\n\n", group.title());
        if group == Group::Upstream {
            text.push_str(UPSTREAM_HEAD);
        }
        text.push_str(TABLE_HEAD);
        let of_group = |it: &&Spec| it.group == group && it.table.is_none();
        for setting in settings::all().filter(of_group) {
            text.push_str(&row(setting));
        }
    }
    text.push_str(ISSUERS_HEAD);
    text.extend(issuers::keys().map(key_row));
    text.push_str(AUTHORIZATION_SERVER_HEAD);
    text.extend(
        authorization_server::AUTHORIZATION_SERVER_KEYS
            .iter()
            .map(key_row_with_variable),
    );
    text.push_str(TENANTS_HEAD);
    text.extend(tenants::TENANT_KEYS.iter().map(key_row));
    text.push_str(CLOSING);
    text
}

fn row(setting: &Spec) -> String {
    let key = match setting.kind {
        Kind::FilePath => "–".to_owned(),
        Kind::Tables => format!("`[[{}]]`", setting.key),
        Kind::Table => format!("`[{}]`", setting.key),
        _ => format!("`{}`", setting.key),
    };
    format!(
        "| {} | {key} | {} | {} | {} | {} |\n",
        names(setting),
        setting
            .flag
            .map_or_else(|| "–".to_owned(), |flag| format!("`--{flag}`")),
        default(setting),
        if setting.used_by == UsedBy::Both {
            "–".to_owned()
        } else {
            setting.used_by.to_string()
        },
        meaning(setting),
    )
}

fn key_row(entry: &IssuerKey) -> String {
    format!(
        "| `{}` | {} | {} |\n",
        entry.key, entry.default, entry.meaning
    )
}

/// A key that may be a variable, too.
fn key_row_with_variable(entry: &IssuerKey) -> String {
    format!(
        "| `{}` | {} | {} | {} |\n",
        entry.key,
        variable(entry.key),
        entry.default,
        entry.meaning
    )
}

/// The variable that stands for a key, or for what the file holds that it names.
fn variable(key: &str) -> String {
    let called =
        |key: &str| settings::all().find(|it| it.table.is_some() && it.key_in_table() == key);
    if let Some(setting) = called(key) {
        return names(setting);
    }
    let stem = key.strip_suffix("_file").unwrap_or_default();
    let Some(setting) = called(stem) else {
        return "–".to_owned();
    };
    let file = format!("`{}_FILE`", setting.name());
    let keys = authorization_server::AUTHORIZATION_SERVER_KEYS;
    if keys.iter().any(|it| it.key == stem) {
        file
    } else {
        format!("{} or {file}", names(setting))
    }
}

fn names(setting: &Spec) -> String {
    if setting.env.is_empty() {
        return "–".to_owned();
    }
    let names: Vec<String> = setting.env.iter().map(|name| format!("`{name}`")).collect();
    names.join(" or ")
}

fn default(setting: &Spec) -> String {
    setting
        .default
        .map_or_else(|| "–".to_owned(), |default| format!("`{default}`"))
}

fn meaning(setting: &Spec) -> String {
    let mut text = format!("{}.", setting.summary);
    if setting.secret {
        text.push_str(" **Secret.**");
    }
    if !setting.detail.is_empty() {
        let _ = write!(text, " {}", setting.detail);
    }
    text
}

const TABLE_HEAD: &str = "\
| Variable | File key | Flag | Default | Only for | Meaning |
| --- | --- | --- | --- | --- | --- |
";

const INTRODUCTION: &str = "\
# Configuration

<!-- Written by `braingrid-mcp config --docs`; change the table of settings, not this file. -->

Every setting can stand in a file, in the environment, and many on the command line. The stronger
one wins: **defaults < file < environment < flags**.

- The **file** is TOML: the one that `--config` or `BRAINGRID_CONFIG` names, else `braingrid-mcp.toml`
  in your own folder: `braingrid-mcp` in `$XDG_CONFIG_HOME` or `~/.config`; on macOS in
  `~/Library/Application Support`, on Windows in `%APPDATA%`. Keys stand at the top level. An unknown
  key is an error.
- **No file of the working directory** is read unasked, for clients start servers in whatever
  repository is open. (`.braingrid/project.json` may name a project there, and nothing else; see
  [login](login.md#the-project-of-a-checkout).) A `braingrid-mcp.toml` there is pointed out and not
  opened.
- A **relative path** in the file is relative to the file. In a variable a local server refuses it.
- An **environment variable** that is empty counts as not set. Where a setting has two variables,
  the first named wins. Variables that only the other transport reads are not looked at.
- **Secrets** have no flag, for command lines are visible to other users. Each can be read from a
  file instead: `ENCRYPTION_KEY_FILE=/run/secrets/key`, or `encryption_key_file = \"…\"` in the
  configuration file, relative to it. A newline at the end is taken away. Giving both forms in one
  place is an error.
- **Durations** are seconds, or a number with a unit: `90`, `10s`, `5m`, `12h`, `7d`.
- **Lists** are arrays in the file, and separated by commas elsewhere; in a variable a JSON list works
  too: `ALLOWED_HOSTS='[\"a.example.com\", \"b.example.com\"]'`.

`braingrid-mcp config` prints the values in effect and where each comes from, with secrets
redacted; `--json` for scripts. Everything that is wrong is reported at once, with the fix, before
anything starts (exit code 78).

A local server for one person needs one variable:

```sh
BRAINGRID_API_TOKEN=… braingrid-mcp
```

A hosted server for many:

```toml
# braingrid-mcp.toml
transport = \"http\"
bind = \"0.0.0.0\"
public_url = \"https://mcp.example.com\"
oauth_issuer = \"https://auth.example.com\"
oauth_preset = \"workos\"
# The API gets tokens of its own. Where the issuer exchanges none: \"Calling the API\" below.
upstream_mode = \"exchange\"
upstream_resource = \"https://api.example.com\"
upstream_client_id = \"client_01…\"
upstream_client_secret_file = \"/run/secrets/upstream-client-secret\"
encryption_key_file = \"/run/secrets/encryption-key\"
redis_url_file = \"/run/secrets/redis-url\"
```
";

const ISSUERS_HEAD: &str = "
## Several authorization servers

In the file only. `OAUTH_ISSUER` (or `WORKOS_ISSUER`) in the environment replaces all of them with
the one it names.

```toml
[[issuers]]
issuer = \"https://auth.example.com\"
audiences = [\"https://api.example.com\"]
algorithms = [\"RS256\", \"ES256\"]

[[issuers]]
issuer = \"https://login.example.org\"
jwks_uri = \"https://login.example.org/keys\"
organization_claim = \"tenant\"
```

| Key | Default | Meaning |
| --- | --- | --- |
";

const UPSTREAM_HEAD: &str = "\
A client's token is for this server, and MCP forbids to pass it on. The issuer gives another one for
it: a token of the API, got once for a session, kept sealed with it, and replaced before it ends.
These settings say so of the issuer of `OAUTH_ISSUER`:

```sh
OAUTH_ISSUER=https://auth.example.com
OAUTH_PRESET=workos
UPSTREAM_MODE=exchange
UPSTREAM_RESOURCE=https://api.example.com
UPSTREAM_CLIENT_ID=client_01…
UPSTREAM_CLIENT_SECRET_FILE=/run/secrets/upstream-client-secret
```

An entry of `[[issuers]]` has a table of its own instead, in which the keys are the same without
`upstream_`:

```toml
[[issuers]]
issuer = \"https://auth.example.com\"
preset = \"workos\"

[issuers.upstream]
mode = \"exchange\"
resource = \"https://api.example.com\"
client_id = \"client_01…\"
client_secret_file = \"/run/secrets/upstream-client-secret\"
```

`OAUTH_ISSUER` or `WORKOS_ISSUER` in the environment replaces every `[[issuers]]`. Where such a table is
among them the server does not start, unless `UPSTREAM_MODE` says what holds instead.

Where the issuer exchanges nothing, the exception is `same-audience`: the caller's token is sent on, and
has to be made for both. The log says so at each start.

";

const AUTHORIZATION_SERVER_HEAD: &str = "
## Our own authorization server

For identity providers that MCP clients cannot use: those without dynamic registration and client id
metadata documents. What it does, and recipes for providers, are in
[authorization server](authorization-server.md). It needs `ENCRYPTION_KEY`, and `MCP_HOST`, for the provider has to
know where to send people back: to `/callback` below it.

```toml
[authorization_server]
provider = \"google\"
client_id = \"1234567890-abc.apps.googleusercontent.com\"
client_secret_file = \"/run/secrets/google-client\"
organizations = [\"example.com=org_01…\"]
```

The API is called with the provider's access token, which travels sealed inside ours.

Where there are no files (Cloud Run, Vercel) variables say the same: each stands in place of the key beside it, and any
of them makes the table.

| Key | Variable | Default | Meaning |
| --- | --- | --- | --- |
";

const TENANTS_HEAD: &str = "
## Single organizations

What holds for one organization alone, whatever its address. In the file.

```toml
[tenants.\"org_01HXYZ\"]
tools = [\"list_*\", \"get_*\", \"create_requirement\"]
clients = [\"https://claude.ai/oauth/mcp-oauth-client-metadata\"]

[tenants.\"org_01JABC\"]
read_only = true
```

| Key | Default | Meaning |
| --- | --- | --- |
";

const CLOSING: &str = "
## OpenTelemetry

Traces are sent when one of the two collector variables above is set. The OpenTelemetry SDK reads
the rest of its standard variables itself, among them `OTEL_EXPORTER_OTLP_HEADERS`,
`OTEL_EXPORTER_OTLP_TIMEOUT`, `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`,
`OTEL_TRACES_SAMPLER`, `OTEL_TRACES_SAMPLER_ARG` and `OTEL_BSP_*`. What is sent is described in
[observability](observability.md).

## Exit codes

| Code | Meaning |
| --- | --- |
| 0 | The server ended as it was asked to: end of input, or a stop signal |
| 1 | `healthcheck`: the server is not ready. `doctor`: something has to be fixed. `install`, `uninstall`: you said no. `admin`, `revoke`, `suspend`, `resume`: the server refused what was asked, and says why |
| 64 | The command line is wrong |
| 65 | `install`, `uninstall`: the client's file cannot be read, understood or written; it is as it was |
| 69 | The issuer, BrainGrid or the listener for operators cannot be reached (try again), or does not answer as it should |
| 70 | The server could not start or failed; the log says why |
| 77 | There is no login, or it was refused; `admin`, `revoke`, `suspend`, `resume`: the operator's token is missing, wrong, or may only read |
| 78 | The configuration is wrong |
| 130, 143 | A second SIGINT or SIGTERM stopped it at once, or something that hung kept it from ending in time |
";
