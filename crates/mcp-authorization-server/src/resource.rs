//! What tokens are for (RFC 8707): the one resource of this server, or one below it, which is a part of
//! it that belongs to an organization.

use crate::{form::Form, request::Refused, server::Inner};

/// What a request says that it wants tokens for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// It says nothing, as clients of before 2025-06-18 do.
    Nothing,
    /// The resource itself.
    Ours,
    /// What is below the resource: `acme`, or `acme/web`.
    Below(String),
}

impl Inner {
    /// What a request wants tokens for.
    pub(crate) fn wanted(&self, form: &Form) -> Result<Wanted, Refused> {
        let mut all = form.resources().map(|asked| self.resource(asked));
        let first = all.next().unwrap_or(Some(Wanted::Nothing));
        // For several there would have to be a token that is good at each of them.
        match first {
            Some(wanted) if all.all(|it| it.as_ref() == Some(&wanted)) => Ok(wanted),
            _ => Err(self.invalid_target()),
        }
    }

    fn resource(&self, asked: &str) -> Option<Wanted> {
        let (ours, asked) = (self.ours(), asked.trim_end_matches('/'));
        if self.is_ours(asked) {
            return Some(Wanted::Ours);
        }
        let below = asked.strip_prefix(ours)?.strip_prefix('/')?;
        let is_one = self.config.resource_below?;
        is_one(below).then(|| Wanted::Below(below.to_owned()))
    }

    /// What a token is for that is wanted out of a grant for this: the same, or less (RFC 8707
    /// section 2.2).
    pub(crate) fn out_of(
        &self,
        granted: Option<&str>,
        wanted: Wanted,
    ) -> Result<Option<String>, Refused> {
        let within = |below: &str| {
            let rest = granted.map_or(Some("/"), |granted| below.strip_prefix(granted));
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        match (granted, wanted) {
            (_, Wanted::Nothing) => Ok(granted.map(ToOwned::to_owned)),
            (None, Wanted::Ours) => Ok(None),
            (_, Wanted::Below(below)) if within(&below) => Ok(Some(below)),
            _ => Err(self.invalid_target()),
        }
    }

    /// The same for whoever gets a token without a grant, for this organization.
    pub(crate) fn below_of(
        &self,
        organization: &str,
        wanted: Wanted,
    ) -> Result<Option<String>, Refused> {
        let below = self.out_of(None, wanted)?;
        let foreign = below.as_deref().map(organization_of);
        if foreign.is_some_and(|other| other != organization) {
            return Err(self.invalid_target());
        }
        Ok(below)
    }

    /// The audience of tokens.
    pub(crate) fn audience(&self, below: Option<&str>) -> String {
        match below {
            Some(below) => format!("{}/{below}", self.ours()),
            None => self.config.resource.clone(),
        }
    }

    fn ours(&self) -> &str {
        self.config.resource.trim_end_matches('/')
    }

    fn invalid_target(&self) -> Refused {
        let ours = self.ours();
        let text = match self.config.resource_below {
            None => format!("tokens of this server are for {ours} alone"),
            Some(_) => format!(
                "tokens of this server are for {ours} or for one organization's address below it, one \
                 at a time, and no other than the user agreed to"
            ),
        };
        Refused::new("invalid_target", text)
    }
}

/// The organization that a resource below ours is for.
pub(crate) fn organization_of(below: &str) -> &str {
    below.split('/').next().unwrap_or_default()
}
