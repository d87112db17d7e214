//! Which requests are traced, and how a trace is joined.

/// A way to join traces and to pass them on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Propagator {
    /// W3C Trace Context.
    TraceContext,
    /// W3C Baggage.
    Baggage,
}

impl Propagator {
    /// The one that `OTEL_PROPAGATORS` calls by this name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "tracecontext" => Some(Self::TraceContext),
            "baggage" => Some(Self::Baggage),
            _ => None,
        }
    }
}

/// Which requests are traced.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum TraceSampler {
    /// So many a second.
    AtMost(u32),
    /// All.
    AlwaysOn,
    /// None.
    AlwaysOff,
    /// This share of all traces, by their ids.
    Ratio(f64),
    /// Those that the caller traces, and of those that begin here what this one says.
    ParentBased(Box<TraceSampler>),
}

impl TraceSampler {
    /// The one that `OTEL_TRACES_SAMPLER` calls by this name; only some have a ratio.
    pub(crate) fn named(name: &str, ratio: impl FnOnce() -> f64) -> Option<Self> {
        if let Some(root) = name.strip_prefix("parentbased_") {
            let root = Self::named(root, ratio)?;
            return Some(Self::ParentBased(Box::new(root)));
        }
        match name {
            "always_on" => Some(Self::AlwaysOn),
            "always_off" => Some(Self::AlwaysOff),
            "traceidratio" => Some(Self::Ratio(ratio())),
            _ => None,
        }
    }
}
