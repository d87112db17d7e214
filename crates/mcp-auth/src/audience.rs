//! What stands for this server in a token: its audience, or the client it was issued to.

/// Stands in for the audience of tokens that have none, as those of Cognito and WorkOS: the client
/// that they were issued to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AudienceFrom {
    /// The claim that names the client: `client_id`, `azp` or `cid`.
    pub claim: String,
    /// The clients whose tokens are meant for this server.
    pub clients: Vec<String>,
}

impl AudienceFrom {
    /// Takes the tokens of these clients, which this claim names.
    pub fn new(claim: impl Into<String>, clients: impl IntoIterator<Item = String>) -> Self {
        Self {
            claim: claim.into(),
            clients: clients.into_iter().collect(),
        }
    }
}

/// Why a token is taken to be meant for this server. Two things, for a client's id is no audience.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum MeantFor {
    /// These audiences, one of which is this server.
    Audiences(Vec<String>),
    /// A listed client, of a token without audience.
    Client(String),
}
