use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use opentelemetry::KeyValue;
use opentelemetry::metrics::Meter;

use super::names::{Kind, METRICS, Metric, PREFIX};
use super::*;

/// Under which name Prometheus knows a metric.
fn prometheus_name(metric: &Metric) -> String {
    let unit = match metric.unit {
        "s" => "_seconds",
        "By" => "_bytes",
        _ => "",
    };
    let total = if metric.kind == Kind::Counter {
        "_total"
    } else {
        ""
    };
    format!("{}{unit}{total}", metric.name.replace('.', "_"))
}

/// Under which name a Datadog agent gets a metric over DogStatsD.
fn datadog_name(metric: &Metric) -> String {
    let name = metric.name.strip_prefix(PREFIX).unwrap_or(metric.name);
    let count = if metric.kind == Kind::Histogram {
        ".count"
    } else {
        ""
    };
    format!("{PREFIX}{name}{count}")
}

/// Labels as Prometheus has them.
fn prometheus_labels(metric: &Metric) -> BTreeSet<String> {
    metric
        .labels
        .iter()
        .map(|it| it.replace('.', "_"))
        .collect()
}

fn repository(path: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    fs::read_to_string(root.join(path)).unwrap_or_else(|_| panic!("{path} is there"))
}

fn record_one(meter: &Meter, metric: &Metric) {
    let labels: Vec<_> = metric
        .labels
        .iter()
        .map(|it| KeyValue::new(*it, "x"))
        .collect();
    match metric.kind {
        Kind::Counter => meter
            .u64_counter(metric.name)
            .with_unit(metric.unit)
            .build()
            .add(1, &labels),
        Kind::Gauge => meter
            .u64_gauge(metric.name)
            .with_unit(metric.unit)
            .build()
            .record(1, &labels),
        Kind::Histogram => {
            let histogram = meter.f64_histogram(metric.name).with_unit(metric.unit);
            histogram.build().record(1.0, &labels);
        }
    }
}

#[test]
fn prometheus_names_and_labels_follow_from_the_table() {
    let registry = Registry::new();
    let provider = SdkMeterProvider::builder()
        .with_reader(prometheus_reader(&registry).unwrap())
        .build();
    for metric in METRICS {
        record_one(&provider.meter("test"), metric);
    }
    let exported: BTreeMap<_, BTreeSet<_>> = registry
        .gather()
        .iter()
        .filter(|family| family.name() != "target_info")
        .map(|family| {
            let labels = family.get_metric()[0].get_label().iter();
            let labels = labels.map(|label| label.name().to_owned()).collect();
            (family.name().to_owned(), labels)
        })
        .collect();
    let expected: BTreeMap<_, _> = METRICS
        .iter()
        .map(|metric| (prometheus_name(metric), prometheus_labels(metric)))
        .collect();
    assert_eq!(exported, expected);
    assert_eq!(expected.len(), METRICS.len(), "no name twice");
}

#[test]
fn the_documentation_lists_every_metric_and_no_other() {
    let mut table = String::new();
    for metric in METRICS {
        let labels: Vec<_> = metric.labels.iter().map(|it| format!("`{it}`")).collect();
        let labels = if labels.is_empty() {
            "–".to_owned()
        } else {
            labels.join(", ")
        };
        let kind = match metric.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        };
        let name = prometheus_name(metric);
        let _ = writeln!(
            table,
            "| `{name}` | `{}` | {kind}, `{}` | {labels} | {} |",
            metric.name, metric.unit, metric.says
        );
    }
    let text = repository("docs/observability.md");
    assert!(
        text.contains(&table),
        "put this table into docs/observability.md:\n{table}"
    );
    let rows = text
        .lines()
        .filter(|line| line.starts_with("| `") && line.contains("` | `"))
        .filter(|line| {
            [" | counter, ", " | gauge, ", " | histogram, "]
                .iter()
                .any(|kind| line.contains(kind))
        });
    assert_eq!(rows.count(), METRICS.len());
}

/// Words of a text that begin with one of these.
fn words<'a>(text: &'a str, begins: &'a [&str]) -> impl Iterator<Item = &'a str> {
    let part = |c: char| c.is_ascii_alphanumeric() || "_.".contains(c);
    text.split(move |c| !part(c))
        .filter(|word| begins.iter().any(|start| word.starts_with(start)))
}

/// What stands between these brackets, all over the text.
fn within<'a>(text: &'a str, open: &'a str, close: char) -> impl Iterator<Item = &'a str> {
    text.split(open)
        .skip(1)
        .filter_map(move |rest| rest.split(close).next())
}

#[test]
fn dashboards_and_alerts_name_only_what_prometheus_gets() {
    let known: BTreeMap<_, _> = METRICS
        .iter()
        .map(|metric| (prometheus_name(metric), metric))
        .collect();
    let labels: BTreeSet<_> = METRICS
        .iter()
        .flat_map(|it| prometheus_labels(it))
        .collect();
    let of_prometheus = ["le", "job", "instance", "service_version"];
    for path in [
        "deploy/dashboards/grafana.json",
        "deploy/alerts/prometheus.yaml",
    ] {
        let text = repository(path).replace("\\\"", "\"");
        let mut used = 0;
        for word in words(&text, &["mcp_server_", "http_server_", "http_client_"]) {
            let base = ["_bucket", "_sum", "_count"]
                .iter()
                .find_map(|end| word.strip_suffix(end));
            let of_histogram = base.and_then(|base| known.get(base));
            let of_histogram = of_histogram.filter(|metric| metric.kind == Kind::Histogram);
            assert!(
                known.contains_key(word) || of_histogram.is_some(),
                "{path}: {word}"
            );
            used += 1;
        }
        assert!(used > 10, "{path}");
        for group in within(&text, "by (", ')') {
            for label in group.split(',').map(str::trim) {
                let fits = labels.contains(label) || of_prometheus.contains(&label);
                assert!(fits, "{path}: by ({label})");
            }
        }
        for matcher in within(&text, "{", '}').flat_map(|all| all.split(", ")) {
            if let Some((label, _)) = matcher
                .split_once(['=', '!'])
                .filter(|_| matcher.contains("=~\"") || matcher.contains("=\""))
            {
                let fits = labels.contains(label) || of_prometheus.contains(&label);
                assert!(fits || label.contains(['\n', '$']), "{path}: {{{label}}}");
            }
        }
    }
}

#[test]
fn dashboards_and_monitors_name_only_what_datadog_gets() {
    let mut known: BTreeSet<_> = METRICS.iter().map(|metric| datadog_name(metric)).collect();
    known.insert("mcp.server.tool.call.count".to_owned());
    for part in ["avg", "median", "95percentile", "max", "count"] {
        known.insert(format!("mcp.server.tool.call.duration.{part}"));
    }
    for path in [
        "deploy/dashboards/datadog.json",
        "deploy/alerts/datadog.json",
    ] {
        let text = repository(path);
        serde_json::from_str::<serde_json::Value>(&text).unwrap();
        let used: Vec<_> = words(&text, &["mcp.server."]).collect();
        assert!(used.len() > 5, "{path}");
        for word in used {
            assert!(known.contains(word), "{path}: {word}");
        }
    }
}

#[test]
fn every_alert_says_what_to_do() {
    let text = repository("docs/observability.md");
    let rules = repository("deploy/alerts/prometheus.yaml");
    let mut alerts = 0;
    for line in rules.lines() {
        if let Some(name) = line.trim().strip_prefix("- alert: ") {
            assert!(
                text.contains(&format!("### {name}\n")),
                "{name} has no heading"
            );
            let monitors = repository("deploy/alerts/datadog.json");
            assert!(monitors.contains(name), "{name} is no monitor");
            alerts += 1;
        }
    }
    assert!(alerts > 5);
}

#[test]
fn nothing_is_set_up_when_nobody_wants_to_know() {
    let settings = TelemetrySettings {
        propagators: Vec::new(),
        sampler: crate::config::TraceSampler::AlwaysOff,
        traces_endpoint: None,
        metrics_endpoint: None,
        prometheus: false,
        dogstatsd: None,
        environment: "test".to_owned(),
    };
    let metrics = start(&settings, Resource::builder().build()).unwrap();
    assert!(metrics.is_none());
}
