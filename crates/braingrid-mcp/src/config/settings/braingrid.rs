//! Settings: the BrainGrid API.

use super::{Group, Setting, UsedBy};

pub(crate) static API_URL: Setting = Setting::new(
    Group::BrainGrid,
    UsedBy::Both,
    "api_url",
    &["BRAINGRID_API_URL"],
)
.flag("api-url", "URL")
.default("https://app.braingrid.ai")
.says(
    "Base URL of the API",
    "`https`, or `http` on a loopback address. A path that ends with a version \
     (`/api/v2`) is used as it is; else `/api/v1` follows.",
);

pub(crate) static API_TOKEN: Setting = Setting::new(
    Group::BrainGrid,
    UsedBy::Stdio,
    "api_token",
    &["BRAINGRID_API_TOKEN"],
)
.secret()
.says(
    "Your BrainGrid token",
    "The credential of the local server. Without one it starts and lists its tools, and a call \
     says how to provide one. Wins over a login.",
);

pub(crate) static ORGANIZATION_ID: Setting = Setting::new(
    Group::BrainGrid,
    UsedBy::Stdio,
    "organization_id",
    &["BRAINGRID_ORGANIZATION_ID"],
)
.flag("organization-id", "ID")
.says(
    "Your organization",
    "Without it: the organization of your profile, else the one your token names.",
);
