//! Which requests are traced. It is decided at the head of a request, before its first span is made:
//! one that is not traced makes none, and costs what it costs without a collector.
//!
//! The SDK asks its sampler for each span, when the span exists already. Here that sampler repeats
//! what was decided, and decides itself only for spans that belong to no request.

use std::{
    cell::Cell,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use mcp_outbound::HeadSampler;
use opentelemetry::{
    Context, KeyValue,
    trace::{
        Link, SpanBuilder, SpanContext, SpanId, SpanKind, TraceContextExt as _, TraceFlags,
        TraceId, TraceState, Tracer, TracerProvider as _,
    },
};
use opentelemetry_sdk::trace::{
    IdGenerator, RandomIdGenerator, Sampler, SamplingDecision, SamplingResult, SdkTracer,
    SdkTracerProvider, ShouldSample, Span, TracerProviderBuilder,
};
use tracing::Metadata;

use crate::config::TraceSampler;

/// The spans at the head of a request.
const HEADS: [&str; 2] = [mcp_transport_http::REQUEST_SPAN, mcp_core::REQUEST_SPAN];

/// What was decided at a head, in the context of its span: it is traced, under this id if the trace
/// begins there.
struct Decided(Option<TraceId>);

/// Decides by a sampler.
pub(super) struct Sampling(Box<dyn ShouldSample>);

impl Sampling {
    pub(super) fn new(configured: &TraceSampler) -> Self {
        Self(sampler(configured))
    }

    /// What is asked at the head of a request.
    pub(super) fn head(&self) -> HeadSampler {
        let (sampler, ids) = (self.0.clone(), RandomIdGenerator::default());
        Arc::new(move |context| {
            let named = context.span().span_context().clone();
            // A message of an HTTP request that names no other trace: decided already.
            if named.is_valid() && !named.is_remote() {
                return context;
            }
            let drawn = (!named.is_valid()).then(|| ids.new_trace_id());
            let trace = drawn.unwrap_or_else(|| named.trace_id());
            let kind = &SpanKind::Server;
            let result = sampler.should_sample(Some(&context), trace, "", kind, &[], &[]);
            if result.decision == SamplingDecision::RecordAndSample {
                return context.with_value(Decided(drawn));
            }
            let (span, flags) = (ids.new_span_id(), TraceFlags::NOT_SAMPLED);
            let untraced = SpanContext::new(trace, span, flags, false, result.trace_state);
            context.with_remote_span_context(untraced)
        })
    }

    /// Makes the SDK abide by what was decided.
    pub(super) fn bind(&self, provider: TracerProviderBuilder) -> TracerProviderBuilder {
        provider
            .with_sampler(Abiding(self.0.clone()))
            .with_id_generator(Ids::default())
    }
}

/// Whether a span or an event is wanted. Heads are, for they were decided; what belongs to a request
/// that is not traced is not.
pub(super) fn is_wanted(metadata: &Metadata<'_>) -> bool {
    HEADS.contains(&metadata.name())
        || Context::map_current(|context| {
            let span = context.span();
            let span = span.span_context();
            !span.is_valid() || span.is_remote() || span.is_sampled()
        })
}

fn sampler(configured: &TraceSampler) -> Box<dyn ShouldSample> {
    match configured {
        TraceSampler::AtMost(per_second) => Limited::to(*per_second).into(),
        TraceSampler::AlwaysOn => Sampler::AlwaysOn.into(),
        TraceSampler::AlwaysOff => Sampler::AlwaysOff.into(),
        TraceSampler::Ratio(ratio) => Sampler::TraceIdRatioBased(*ratio).into(),
        TraceSampler::ParentBased(root) => Sampler::ParentBased(sampler(root)).into(),
    }
}

/// Samples so many a second. What was not used is kept for a second, so that a few calls at once are
/// traced as well. A request whose caller says that it is not traced is not; one whose caller says
/// that it is has to find a place like any other, for callers may be strangers.
#[derive(Debug, Clone)]
struct Limited {
    step: Option<u64>,
    begun: Instant,
    /// In nanoseconds: until when the places are taken.
    taken: Arc<AtomicU64>,
}

impl Limited {
    const SECOND: u64 = 1_000_000_000;

    fn to(per_second: u32) -> Self {
        Self {
            step: Self::SECOND.checked_div(per_second.into()),
            begun: Instant::now(),
            taken: Arc::default(),
        }
    }

    fn has_place(&self, since: Duration) -> bool {
        let Some(step) = self.step else { return false };
        let since = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX);
        let until = since.saturating_add(Self::SECOND);
        let take = |taken: u64| {
            let taken = taken.max(since).saturating_add(step);
            (taken <= until).then_some(taken)
        };
        let (set, read) = (Ordering::Relaxed, Ordering::Relaxed);
        self.taken.fetch_update(set, read, take).is_ok()
    }
}

impl ShouldSample for Limited {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        _: TraceId,
        _: &str,
        _: &SpanKind,
        _: &[KeyValue],
        _: &[Link],
    ) -> SamplingResult {
        let parent_span = parent.map(|parent| parent.span().span_context().clone());
        let sampled = match parent_span.filter(SpanContext::is_valid) {
            Some(ours) if !ours.is_remote() => ours.is_sampled(),
            Some(callers) if !callers.is_sampled() => false,
            _ => self.has_place(self.begun.elapsed()),
        };
        decision(sampled, parent)
    }
}

fn decision(sampled: bool, parent: Option<&Context>) -> SamplingResult {
    let state = |parent: &Context| parent.span().span_context().trace_state().clone();
    SamplingResult {
        decision: if sampled {
            SamplingDecision::RecordAndSample
        } else {
            SamplingDecision::Drop
        },
        attributes: Vec::new(),
        trace_state: parent.map_or_else(TraceState::default, state),
    }
}

/// The SDK's sampler: spans of a request that was decided are sampled, others are decided now.
#[derive(Debug, Clone)]
struct Abiding(Box<dyn ShouldSample>);

impl ShouldSample for Abiding {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        if parent.is_some_and(|parent| parent.get::<Decided>().is_some()) {
            return decision(true, parent);
        }
        let Self(sampler) = self;
        sampler.should_sample(parent, trace, name, kind, attributes, links)
    }
}

thread_local! {
    /// The id for the trace that begins with the next span of this thread.
    static DRAWN: Cell<Option<TraceId>> = const { Cell::new(None) };
}

/// Starts spans, a trace under the id that it was decided by: an SDK draws ids itself and asks
/// samplers about them.
#[derive(Debug)]
pub(super) struct AbidingTracer(SdkTracer);

impl AbidingTracer {
    pub(super) fn new(provider: &SdkTracerProvider) -> Self {
        Self(provider.tracer(env!("CARGO_PKG_NAME")))
    }
}

impl Tracer for AbidingTracer {
    type Span = Span;

    fn build_with_context(&self, builder: SpanBuilder, parent: &Context) -> Span {
        DRAWN.set(parent.get().and_then(|Decided(drawn)| *drawn));
        self.0.build_with_context(builder, parent)
    }
}

/// Ids at random, but for those that were drawn before.
#[derive(Debug, Default)]
struct Ids(RandomIdGenerator);

impl IdGenerator for Ids {
    fn new_trace_id(&self) -> TraceId {
        DRAWN.take().unwrap_or_else(|| self.0.new_trace_id())
    }

    fn new_span_id(&self) -> SpanId {
        self.0.new_span_id()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn remote(sampled: bool) -> Context {
        let flags = TraceFlags::default().with_sampled(sampled);
        let (trace, span) = (TraceId::from(7), SpanId::from(7));
        let named = SpanContext::new(trace, span, flags, true, TraceState::default());
        Context::new().with_remote_span_context(named)
    }

    /// Whether a request is traced, and the trace that it goes on in.
    fn decided(sampling: &TraceSampler, context: Context) -> (bool, Option<TraceId>) {
        let context = Sampling::new(sampling).head()(context);
        let span = context.span().span_context().clone();
        let trace = context.get::<Decided>().map(|Decided(drawn)| *drawn);
        let named = || span.is_valid().then(|| span.trace_id());
        (trace.is_some(), trace.flatten().or_else(named))
    }

    #[test]
    fn a_parent_decides_where_the_sampler_says_so() {
        use TraceSampler::{AlwaysOff, AlwaysOn, AtMost, ParentBased, Ratio};
        let by_parent = |root| ParentBased(Box::new(root));
        for (sampler, root, with_sampled, with_other) in [
            (AlwaysOn, true, true, true),
            (AlwaysOff, false, false, false),
            (by_parent(AlwaysOn), true, true, false),
            (by_parent(AlwaysOff), false, true, false),
            (AtMost(2), true, true, false),
            (AtMost(0), false, false, false),
            (by_parent(Ratio(0.0)), false, true, false),
            (Ratio(1.0), true, true, true),
        ] {
            assert_eq!(decided(&sampler, Context::new()).0, root, "{sampler:?}");
            for (sampled, expected) in [(true, with_sampled), (false, with_other)] {
                let decided = decided(&sampler, remote(sampled));
                assert_eq!(decided, (expected, Some(TraceId::from(7))), "{sampler:?}");
            }
        }
    }

    #[test]
    fn what_is_not_traced_has_a_trace_of_its_own_to_pass_on() {
        let head = Sampling::new(&TraceSampler::AlwaysOff).head();
        let contexts: Vec<_> = (0..3).map(|_| head(Context::new())).collect();
        let traces = contexts.iter().map(|context| {
            let span = context.span().span_context().clone();
            assert!(span.is_valid() && !span.is_sampled() && !span.is_remote());
            span.trace_id()
        });
        assert_eq!(traces.collect::<HashSet<_>>().len(), 3);
        // The span id is new: whoever changes the flag must change it.
        let context = head(remote(true));
        assert_ne!(context.span().span_context().span_id(), SpanId::from(7));
    }

    #[test]
    fn a_message_has_the_decision_of_its_http_request() {
        let head = Sampling::new(&TraceSampler::AtMost(1)).head();
        assert!(head(Context::new()).get::<Decided>().is_some());
        let around = head(Context::new());
        let within = head(around.clone());
        assert_eq!(
            within.span().span_context(),
            around.span().span_context(),
            "as it was"
        );
    }

    #[test]
    fn callers_who_trace_have_no_more_places_than_others() {
        let head = Sampling::new(&TraceSampler::AtMost(10)).head();
        let traced = |context: &Context| head(context.clone()).get::<Decided>().is_some();
        let named = remote(true);
        let sampled = (0..1_000).filter(|_| traced(&named)).count();
        assert!((10..500).contains(&sampled), "{sampled}");
        // Whose spans belong to a traced request are with it.
        let ours = SpanContext::new(
            TraceId::from(7),
            SpanId::from(7),
            TraceFlags::SAMPLED,
            false,
            TraceState::default(),
        );
        let parent = Context::new().with_remote_span_context(ours);
        let limited = Limited::to(0);
        let kind = &SpanKind::Internal;
        let below = limited.should_sample(Some(&parent), TraceId::from(7), "", kind, &[], &[]);
        assert_eq!(below.decision, SamplingDecision::RecordAndSample);
    }

    #[test]
    fn so_many_a_second_and_no_more() {
        let limited = Limited::to(100);
        let within = |millis: std::ops::Range<u64>| {
            let tries = millis.flat_map(|at| [at; 10]).map(Duration::from_millis);
            tries.filter(|at| limited.has_place(*at)).count()
        };
        assert_eq!(within(0..1), 10);
        // A second's worth at once, and what is added meanwhile.
        assert_eq!(within(1..1_000), 189);
        assert_eq!(within(1_000..2_000), 100);
        assert_eq!(within(60_000..60_001), 10);
        assert!(!Limited::to(0).has_place(Duration::from_secs(9)));
    }

    #[test]
    fn the_sdk_samples_what_was_decided_under_the_id_it_was_decided_by() {
        let sampling = Sampling::new(&TraceSampler::Ratio(0.5));
        let provider = sampling.bind(SdkTracerProvider::builder()).build();
        let tracer = AbidingTracer::new(&provider);
        let head = sampling.head();
        let mut sampled = 0;
        for _ in 0..200 {
            let context = head(Context::new());
            let Some(Decided(drawn)) = context.get() else {
                continue;
            };
            sampled += 1;
            let span = tracer.build_with_context(SpanBuilder::from_name("head"), &context);
            let context = context.with_span(span);
            let head = context.span().span_context().clone();
            assert!(head.is_sampled());
            assert_eq!(Some(head.trace_id()), *drawn);
            let below = tracer.build_with_context(SpanBuilder::from_name("below"), &context);
            let below = opentelemetry::trace::Span::span_context(&below).clone();
            assert!(below.is_sampled() && below.trace_id() == head.trace_id());
        }
        assert!((50..150).contains(&sampled), "{sampled} of 200");
    }
}
