//! How much callers may do.

use mcp_session::Rate;

use crate::config::reader::Reader;
use crate::config::settings;

/// How much callers may do; nothing for no limit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RateSettings {
    /// Tool calls of an organization.
    pub(crate) tenant: Option<Rate>,
    /// Messages of a user.
    pub(crate) user: Option<Rate>,
    /// Tool calls of a user that change nothing.
    pub(crate) reads: Option<Rate>,
    /// Those that change something.
    pub(crate) writes: Option<Rate>,
    /// Those that take minutes.
    pub(crate) expensive: Option<Rate>,
    /// Requests of an address without a login.
    pub(crate) address: Option<Rate>,
    /// Requests to the API.
    pub(crate) api: Option<Rate>,
}

pub(super) fn read_rates(reader: &mut Reader) -> RateSettings {
    RateSettings {
        tenant: reader.value(&settings::LIMIT_TENANT),
        user: reader.value(&settings::LIMIT_USER),
        reads: reader.value(&settings::LIMIT_READS),
        writes: reader.value(&settings::LIMIT_WRITES),
        expensive: reader.value(&settings::LIMIT_EXPENSIVE),
        address: reader.value(&settings::LIMIT_ADDRESS),
        api: reader.value(&settings::API_RATE_LIMIT),
    }
}
