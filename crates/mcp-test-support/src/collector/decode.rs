//! From OTLP's protobuf messages to what tests look at.

use std::time::Duration;

use opentelemetry_proto::tonic::{
    common::v1::{AnyValue, KeyValue, any_value::Value as Any},
    logs::v1::LogsData,
    metrics::v1::{MetricsData, NumberDataPoint, metric::Data, number_data_point::Value as Number},
    resource::v1::Resource,
    trace::v1::{TracesData, span::SpanKind, status::StatusCode},
};
use prost::Message as _;
use serde_json::{Value, json};

use super::{Attributes, LogRecord, MetricPoint, PointValue, Span};
use crate::hex;

// An export request has the fields of the `…Data` message of its signal.

pub(super) fn spans(body: &[u8]) -> Option<Vec<Span>> {
    let data = TracesData::decode(body).ok()?;
    let mut spans = Vec::new();
    for group in data.resource_spans {
        let resource = of_resource(group.resource);
        for scoped in group.scope_spans {
            let scope = scoped.scope.unwrap_or_default().name;
            let named = scoped.spans.into_iter().map(|span| Span {
                resource: resource.clone(),
                scope: scope.clone(),
                ..Span::from(span)
            });
            spans.extend(named);
        }
    }
    Some(spans)
}

impl From<opentelemetry_proto::tonic::trace::v1::Span> for Span {
    fn from(span: opentelemetry_proto::tonic::trace::v1::Span) -> Self {
        let kind = match span.kind() {
            SpanKind::Internal => "internal",
            SpanKind::Server => "server",
            SpanKind::Client => "client",
            SpanKind::Producer => "producer",
            SpanKind::Consumer => "consumer",
            SpanKind::Unspecified => "unspecified",
        };
        let nanos = span
            .end_time_unix_nano
            .saturating_sub(span.start_time_unix_nano);
        let links = span.links.iter();
        let links = links.map(|link| (hex(&link.trace_id), hex(&link.span_id)));
        let events = span.events.into_iter();
        let status = span.status.unwrap_or_default();
        Self {
            trace_id: hex(&span.trace_id),
            span_id: hex(&span.span_id),
            parent_span_id: hex(&span.parent_span_id),
            trace_state: span.trace_state,
            name: span.name,
            kind,
            links: links.collect(),
            events: events
                .map(|event| (event.name, attributes(event.attributes)))
                .collect(),
            attributes: attributes(span.attributes),
            is_error: status.code() == StatusCode::Error,
            status_message: status.message,
            duration: Duration::from_nanos(nanos),
            resource: Attributes::new(),
            scope: String::new(),
        }
    }
}

pub(super) fn points(body: &[u8]) -> Option<Vec<MetricPoint>> {
    let data = MetricsData::decode(body).ok()?;
    let mut points = Vec::new();
    for group in data.resource_metrics {
        let resource = of_resource(group.resource);
        let metrics = group.scope_metrics.into_iter();
        for metric in metrics.flat_map(|scoped| scoped.metrics) {
            for (labels, value) in metric.data.map(values).unwrap_or_default() {
                points.push(MetricPoint {
                    name: metric.name.clone(),
                    unit: metric.unit.clone(),
                    description: metric.description.clone(),
                    attributes: attributes(labels),
                    value,
                    resource: resource.clone(),
                });
            }
        }
    }
    Some(points)
}

fn values(data: Data) -> Vec<(Vec<KeyValue>, PointValue)> {
    match data {
        Data::Gauge(gauge) => {
            let points = gauge.data_points.into_iter();
            let gauge = |point: NumberDataPoint| PointValue::Gauge(number(&point));
            points
                .map(|point| (point.attributes.clone(), gauge(point)))
                .collect()
        }
        Data::Sum(sum) => {
            let monotonic = sum.is_monotonic;
            let points = sum.data_points.into_iter();
            let value = |point: &NumberDataPoint| PointValue::Sum {
                value: number(point),
                monotonic,
            };
            points
                .map(|point| (point.attributes.clone(), value(&point)))
                .collect()
        }
        Data::Histogram(histogram) => {
            let points = histogram.data_points.into_iter();
            points
                .map(|point| {
                    let value = PointValue::Histogram {
                        count: point.count,
                        sum: point.sum.unwrap_or_default(),
                        bounds: point.explicit_bounds,
                        buckets: point.bucket_counts,
                    };
                    (point.attributes, value)
                })
                .collect()
        }
        Data::ExponentialHistogram(_) | Data::Summary(_) => vec![(Vec::new(), PointValue::Other)],
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "no test counts beyond what a double holds exactly"
)]
fn number(point: &NumberDataPoint) -> f64 {
    match point.value {
        Some(Number::AsDouble(value)) => value,
        Some(Number::AsInt(value)) => value as f64,
        None => f64::NAN,
    }
}

pub(super) fn logs(body: &[u8]) -> Option<Vec<LogRecord>> {
    let data = LogsData::decode(body).ok()?;
    let mut records = Vec::new();
    for group in data.resource_logs {
        let resource = of_resource(group.resource);
        let found = group.scope_logs.into_iter();
        for record in found.flat_map(|scoped| scoped.log_records) {
            records.push(LogRecord {
                event_name: record.event_name,
                severity: record.severity_text,
                body: record.body.map_or(Value::Null, plain),
                attributes: attributes(record.attributes),
                trace_id: hex(&record.trace_id),
                resource: resource.clone(),
            });
        }
    }
    Some(records)
}

fn of_resource(resource: Option<Resource>) -> Attributes {
    attributes(resource.unwrap_or_default().attributes)
}

fn attributes(pairs: Vec<KeyValue>) -> Attributes {
    let pair = |pair: KeyValue| (pair.key, pair.value.map_or(Value::Null, plain));
    pairs.into_iter().map(pair).collect()
}

fn plain(value: AnyValue) -> Value {
    match value.value {
        Some(Any::StringValue(text)) => json!(text),
        Some(Any::BoolValue(flag)) => json!(flag),
        Some(Any::IntValue(number)) => json!(number),
        Some(Any::DoubleValue(number)) => json!(number),
        Some(Any::ArrayValue(list)) => list.values.into_iter().map(plain).collect(),
        Some(Any::KvlistValue(list)) => attributes(list.values).into_iter().collect(),
        Some(Any::BytesValue(bytes)) => json!(hex(&bytes)),
        _ => Value::Null,
    }
}
