//! The settings of all organizations: of the configuration, and over those what was set at run time.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use mcp_auth::Principal;
use mcp_core::{OrganizationId, ToolAccess};
use mcp_fleet::{TenantError, TenantNews, TenantRecord, Tenants};
use mcp_session::{Keyring, RedisStore};
use serde_json::Value;

use super::settings::{BadSetting, Rules, TenantSettings};

/// How long a start waits for what is in the store.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is set in the configuration for one organization.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ConfiguredTenant {
    pub(crate) settings: TenantSettings,
    pub(crate) suspended: bool,
}

/// The settings of all organizations. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Organizations {
    inner: Arc<Inner>,
}

struct Inner {
    configured: Arc<Configured>,
    set: Tenants<Rules>,
    /// For callers who have all tools where others have not.
    all_tools: Arc<ToolAccess>,
}

/// What the configuration says.
struct Configured {
    tenants: HashMap<String, ConfiguredTenant>,
    rules: HashMap<String, Arc<Rules>>,
    issuers: Vec<String>,
    /// Whether any organization has, or had, fewer tools than others.
    differ: AtomicBool,
}

impl Configured {
    fn rules_with(&self, organization: &str, set: &TenantSettings) -> Result<Rules, BadSetting> {
        let rules = match self.tenants.get(organization) {
            Some(here) => set
                .over(&here.settings)
                .rules(here.suspended, &self.issuers),
            None => set.rules(false, &self.issuers),
        }?;
        self.differ
            .fetch_or(rules.tools.is_some(), Ordering::Relaxed);
        Ok(rules)
    }
}

impl Organizations {
    /// Those of the configuration, and what all instances share, or this one alone keeps.
    ///
    /// # Errors
    /// The first setting of the configuration that means nothing, and whose it is.
    pub(crate) fn new(
        tenants: HashMap<String, ConfiguredTenant>,
        issuers: Vec<String>,
        keyring: Keyring,
        facts: Option<&RedisStore>,
    ) -> Result<Self, (String, BadSetting)> {
        let mut rules = HashMap::new();
        for (organization, here) in &tenants {
            let made = here.settings.rules(here.suspended, &issuers);
            let made = made.map_err(|bad| (organization.clone(), bad))?;
            rules.insert(organization.clone(), Arc::new(made));
        }
        let differ = rules.values().any(|rules| rules.tools.is_some());
        let configured = Arc::new(Configured {
            tenants,
            rules,
            issuers,
            differ: differ.into(),
        });
        let make = {
            let configured = Arc::clone(&configured);
            move |organization: &str, settings: &Value| {
                // What this version does not know of them is for newer ones.
                let settings = serde_json::from_value(settings.clone());
                let settings: TenantSettings = settings.map_err(|error| error.to_string())?;
                let rules = configured.rules_with(organization, &settings);
                rules.map_err(|bad| bad.to_string())
            }
        };
        let keyring = Arc::new(keyring);
        let set = match facts {
            Some(redis) => {
                let redis = Arc::new(redis.clone());
                Tenants::shared(Arc::clone(&redis) as _, redis, keyring, make)
            }
            None => Tenants::in_process(keyring, make),
        };
        Ok(Self {
            inner: Arc::new(Inner {
                configured,
                set,
                all_tools: Arc::new(ToolAccess::new(false)),
            }),
        })
    }

    /// Begins to hear what is set at other instances.
    pub(crate) async fn listen(&self) -> TenantNews {
        self.inner.set.listen(PATIENCE).await
    }

    fn rules(&self, organization: &str) -> Option<Arc<Rules>> {
        let set = self.inner.set.get(organization);
        set.or_else(|| self.inner.configured.rules.get(organization).cloned())
    }

    /// Why somebody is not let in, whatever the address.
    ///
    /// # Errors
    /// The reason, as a sentence.
    pub(crate) fn admit(&self, principal: &Principal) -> Result<(), String> {
        let Some(rules) = principal.organization().and_then(|it| self.rules(it)) else {
            return Ok(());
        };
        rules
            .refusal(principal)
            .map_or(Ok(()), |why| Err(why.to_owned()))
    }

    /// The tools that an organization has; nothing where everybody has all.
    pub(crate) fn tools(&self, organization: Option<&str>) -> Option<Arc<ToolAccess>> {
        let own = organization.and_then(|it| self.rules(it)?.tools.clone());
        let differ = self.inner.configured.differ.load(Ordering::Relaxed);
        own.or_else(|| differ.then(|| Arc::clone(&self.inner.all_tools)))
    }

    /// Whose logins an organization takes, where that is not everybody's.
    pub(crate) fn issuers(&self, organization: &str) -> Option<Vec<String>> {
        self.rules(organization)?.issuers().map(<[String]>::to_vec)
    }
}

#[cfg_attr(
    not(test),
    expect(dead_code, reason = "for operators, who cannot ask yet")
)]
impl Organizations {
    /// What was set at run time for an organization, and what the configuration says of it.
    pub(crate) fn get(
        &self,
        organization: &str,
    ) -> (Option<TenantRecord>, Option<ConfiguredTenant>) {
        let configured = self.inner.configured.tenants.get(organization);
        (self.inner.set.record(organization), configured.cloned())
    }

    /// The names of all organizations of which something was said, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        let set = self.inner.set.all().into_iter().map(|(name, _)| name);
        let configured = self.inner.configured.tenants.keys().cloned();
        let mut names: Vec<_> = set.chain(configured).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Sets an organization's settings in the place of the version that was `seen`, or takes them back.
    ///
    /// # Errors
    /// [`TenantError`], with a reason for whoever wrote them.
    pub(crate) async fn put(
        &self,
        organization: &OrganizationId,
        seen: u64,
        settings: Option<&TenantSettings>,
    ) -> Result<TenantRecord, TenantError> {
        let written = settings.map(serde_json::to_value).transpose();
        let written = written.map_err(|error| TenantError::Refused(error.to_string()))?;
        self.inner
            .set
            .put(organization.as_str(), seen, written)
            .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ISSUER: &str = "https://auth.test";

    fn settings(json: &str) -> TenantSettings {
        serde_json::from_str(json).unwrap()
    }

    fn organizations(configured: &str) -> Organizations {
        let one = ConfiguredTenant {
            settings: settings(configured),
            suspended: false,
        };
        let tenants = HashMap::from([("org_1".to_owned(), one)]);
        let issuers = vec![ISSUER.to_owned()];
        Organizations::new(tenants, issuers, Keyring::random(), None).unwrap()
    }

    fn id(text: &str) -> OrganizationId {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn what_is_set_at_run_time_lies_over_the_configuration_key_by_key() {
        let all = organizations(r#"{"read_only": true}"#);
        let only_reads = Arc::new(ToolAccess::new(true));
        assert_eq!(all.tools(Some("org_1")), Some(Arc::clone(&only_reads)));
        let put = async |seen, text: &str| {
            let settings = settings(text);
            all.put(&id("org_1"), seen, Some(&settings)).await
        };
        put(0, r#"{"tools": ["get_*"]}"#).await.unwrap();
        let both = ToolAccess::new(true).only(["get_*".to_owned()]).unwrap();
        assert_eq!(all.tools(Some("org_1")), Some(Arc::new(both)));
        put(1, r#"{"read_only": false}"#).await.unwrap();
        assert!(!all.tools(Some("org_1")).unwrap().is_limited());
        // Another one has all, and a list of its own, since not all have the same.
        assert!(!all.tools(Some("org_2")).unwrap().is_limited());
        // Taken back, it is as configured.
        all.put(&id("org_1"), 2, None).await.unwrap();
        assert_eq!(all.tools(Some("org_1")), Some(only_reads));
        let (record, configured) = all.get("org_1");
        assert_eq!(record.unwrap().version, 3);
        assert_eq!(configured.unwrap().settings.read_only, Some(true));
        assert_eq!(all.names(), ["org_1"]);
    }

    #[tokio::test]
    async fn settings_that_mean_nothing_are_refused_with_a_reason_and_change_nothing() {
        let all = organizations("{}");
        for (text, told) in [
            (r#"{"tools": ["no_such"]}"#, "means no tool"),
            (r#"{"tools": []}"#, "it names none"),
            (
                r#"{"issuers": ["https://other.test"]}"#,
                "there are https://auth.test",
            ),
            (r#"{"clients": [" "]}"#, "it names none"),
        ] {
            let refused = all.put(&id("org_2"), 0, Some(&settings(text))).await;
            let refused = refused.unwrap_err().to_string();
            assert!(refused.contains(told), "{text}: {refused}");
        }
        assert_eq!(all.get("org_2").0, None);
        assert_eq!(all.tools(Some("org_2")), None);
    }
}
