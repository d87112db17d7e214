//! The report as one page that needs nothing else: tables, and charts as inline SVG.

use std::fmt::Write as _;

use super::report::{Report, Row, Section};

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:72rem;padding:0 1rem;\
color:#1a1a1a;background:#fff}h2{margin-top:2.5rem}table{border-collapse:collapse;width:100%;font-size:13px}\
td,th{padding:.25rem .5rem;text-align:right;border-bottom:1px solid #e3e3e3}td:first-child,th:first-child,\
td:nth-child(2),th:nth-child(2){text-align:left}.bad{color:#b00020;font-weight:600}.good{color:#0a7a3d}\
svg{width:100%;height:auto;margin:1rem 0}svg text{font:11px system-ui,sans-serif;fill:currentColor}\
figcaption{color:#555;font-size:13px}@media(prefers-color-scheme:dark){body{background:#161616;color:#e8e8e8}\
td,th{border-color:#333}figcaption{color:#aaa}}";

/// Colours by server, in the order in which they are first met.
const COLOURS: &[&str] = &["#2f6fde", "#8a8f98", "#d9822b", "#3f9e6b"];

/// The page.
#[must_use]
pub fn page(report: &Report) -> String {
    let (calls, errors) = report.calls_and_errors();
    let machine = &report.machine;
    let mut html = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width\"><title>Load test</title><style>{STYLE}</style>\
         <h1>Load test of braingrid-mcp</h1><p>{} · {}, {} cores, {} · profile {} · {}</p>",
        text(&report.at),
        text(&machine.processor),
        machine.cores,
        text(&machine.system),
        text(&report.profile),
        text(machine.pinned.as_deref().unwrap_or("nothing is pinned")),
    );
    let class = if errors > 0 { "bad" } else { "good" };
    let _ = write!(
        html,
        "<p class=\"{class}\">{calls} calls, {errors} not answered as they should be.</p>"
    );
    for section in &report.sections {
        let _ = write!(
            html,
            "<h2>{}</h2><p>{}</p>",
            text(&section.scenario),
            text(&section.about)
        );
        html += &charts(section);
        html += &tables(section);
    }
    html
}

fn charts(section: &Section) -> String {
    if section.rows.is_empty() {
        return String::new();
    }
    let cpu = |row: &Row| row.cpu_per_1000.unwrap_or_default() * 1000.0;
    [
        bars(section, "calls per second", 0, |row| row.calls_per_second),
        bars(section, "p99, milliseconds", 2, |row| row.p99),
        bars(section, "processor time per call, microseconds", 0, cpu),
        lines(section),
    ]
    .concat()
}

/// A bar for each row.
fn bars(section: &Section, caption: &str, digits: usize, figure: impl Fn(&Row) -> f64) -> String {
    let largest = section.rows.iter().map(&figure).fold(0.0, f64::max);
    if largest <= 0.0 {
        return String::new();
    }
    let mut bars = String::new();
    let mut y = 4;
    for row in &section.rows {
        let (value, colour) = (figure(row), colour_of(section, &row.server));
        let width = value / largest * 520.0;
        let _ = write!(
            bars,
            "<text x=\"295\" y=\"{}\" text-anchor=\"end\">{} · {}</text><rect x=\"300\" y=\"{y}\" \
             width=\"{width:.1}\" height=\"14\" rx=\"2\" fill=\"{colour}\"/><text x=\"{:.1}\" \
             y=\"{}\">{value:.digits$}</text>",
            y + 11,
            text(&row.load),
            text(&row.server),
            width + 306.0,
            y + 11,
        );
        y += 19;
    }
    format!(
        "<figure><figcaption>{caption}</figcaption><svg viewBox=\"0 0 900 {y}\" role=\"img\">{bars}</svg></figure>"
    )
}

/// Latency by percentile: a line for each row.
fn lines(section: &Section) -> String {
    let points = |row: &Row| [row.p50, row.p90, row.p99, row.p999, row.max];
    let all = || {
        section
            .rows
            .iter()
            .flat_map(points)
            .filter(|value| *value > 0.0)
    };
    let (low, high) = (
        all().fold(f64::MAX, f64::min).ln(),
        all().fold(0.0, f64::max).ln(),
    );
    if low >= high {
        return String::new();
    }
    let mut drawn = String::new();
    for (at, name) in ["p50", "p90", "p99", "p99.9", "max"]
        .into_iter()
        .enumerate()
    {
        let _ = write!(
            drawn,
            "<text x=\"{}\" y=\"255\" text-anchor=\"middle\">{name}</text>",
            60 + at * 190
        );
    }
    for (label, y) in [
        (high, 14.0),
        (f64::midpoint(low, high), 119.0),
        (low, 224.0),
    ] {
        let _ = write!(
            drawn,
            "<text x=\"2\" y=\"{y}\">{:.2} ms</text>",
            label.exp()
        );
    }
    for row in &section.rows {
        let mut x = 60.0;
        let mut path = Vec::new();
        for value in points(row).into_iter().filter(|value| *value > 0.0) {
            let y = 220.0 - (value.ln() - low) / (high - low) * 210.0;
            path.push(format!("{x:.0},{y:.1}"));
            x += 190.0;
        }
        let _ = write!(
            drawn,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"1.5\" opacity=\".75\">\
             <title>{} · {}</title></polyline>",
            path.join(" "),
            colour_of(section, &row.server),
            text(&row.load),
            text(&row.server),
        );
    }
    format!(
        "<figure><figcaption>latency by percentile (logarithmic); a line for each row, named when \
         pointed at</figcaption><svg viewBox=\"0 0 900 262\" role=\"img\">{drawn}</svg></figure>"
    )
}

fn colour_of(section: &Section, server: &str) -> &'static str {
    let mut servers: Vec<&str> = Vec::new();
    for row in &section.rows {
        if !servers.contains(&row.server.as_str()) {
            servers.push(&row.server);
        }
    }
    let at = servers
        .iter()
        .position(|known| *known == server)
        .unwrap_or_default();
    COLOURS[at % COLOURS.len()]
}

fn tables(section: &Section) -> String {
    let mut html = String::new();
    if !section.rows.is_empty() {
        html += "<table><tr><th>load<th>server<th>calls/s<th>p50 ms<th>p90<th>p99<th>p99.9<th>max<th>\
                 CPU s per 1,000<th>RSS MiB<th>Redis per call<th>tiers<th>errors</tr>";
    }
    for row in &section.rows {
        let errors: u64 = row.errors.values().sum();
        let tiers: Vec<_> = row
            .tiers
            .iter()
            .map(|(tier, calls)| format!("{tier} {calls}"))
            .collect();
        let optional = |value: Option<f64>| {
            value.map_or_else(|| "–".to_owned(), |value| format!("{value:.4}"))
        };
        let _ = write!(
            html,
            "<tr><td>{}<td>{}<td>{:.0}<td>{:.3}<td>{:.3}<td>{:.3}<td>{:.3}<td>{:.3}<td>{}<td>{}<td>{}<td>{}\
             <td class=\"{}\">{errors}</tr>",
            text(&row.load),
            text(&row.server),
            row.calls_per_second,
            row.p50,
            row.p90,
            row.p99,
            row.p999,
            row.max,
            optional(row.cpu_per_1000),
            row.rss
                .map_or_else(|| "–".to_owned(), |mib| format!("{mib:.1}")),
            optional(row.redis_per_call),
            tiers.join(", "),
            if errors > 0 { "bad" } else { "good" },
        );
    }
    if !section.rows.is_empty() {
        html += "</table>";
    }
    if !section.figures.is_empty() || !section.ratios.is_empty() {
        html += "<table><tr><th>figure<th>server<th>value<th></tr>";
    }
    for figure in &section.figures {
        let (name, server) = (text(&figure.name), text(&figure.server));
        let _ = write!(
            html,
            "<tr><td>{name}<td>{server}<td>{:.2}<td>{}</tr>",
            figure.value, figure.unit
        );
    }
    for ratio in &section.ratios {
        let class = match ratio.reached {
            Some(true) => "good",
            Some(false) => "bad",
            None => "",
        };
        let _ = write!(
            html,
            "<tr><td>{}: {} by {}<td>ratio<td class=\"{class}\">{:.2}<td>{}</tr>",
            text(&ratio.load),
            ratio.figure,
            text(&ratio.to),
            ratio.ratio,
            ratio
                .goal
                .map(|goal| format!("goal {goal}"))
                .unwrap_or_default(),
        );
    }
    if !section.figures.is_empty() || !section.ratios.is_empty() {
        html += "</table>";
    }
    html
}

/// As text of a page.
fn text(raw: &str) -> String {
    raw.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_is_called_cannot_become_markup() {
        let row = Row {
            server: "<script>".to_owned(),
            calls_per_second: 1.0,
            p50: 1.0,
            p99: 2.0,
            ..Row::default()
        };
        let section = Section {
            rows: vec![row],
            ..Section::default()
        };
        let html = charts(&section) + &tables(&section);
        assert!(
            html.contains("&lt;script&gt;") && !html.contains("<script>"),
            "{html}"
        );
        assert!(
            html.contains("<svg") && html.contains("<polyline"),
            "{html}"
        );
    }
}
