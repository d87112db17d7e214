//! Scenarios in which nothing goes wrong.

use std::time::{Duration, Instant};

use super::Shown;
use mcp_test_support::client::Generation;

use crate::load_test::{
    call::Tool,
    drive::{Length, Pace},
    report::{Figure, Ratio, Row, Section, per},
    target::Target,
    world::World,
};

/// Connections of the open loop: enough that a call seldom waits for one.
const OPEN_CONNECTIONS: usize = 64;
/// Connections where a scenario is not about their number.
const CONNECTIONS: usize = 16;

pub(super) async fn steady(world: &World) -> anyhow::Result<Shown> {
    let all = world.start_all().await?;
    let targets: Vec<&Target> = all.iter().collect();
    let mut section = Section::default();
    for generation in world.config.generations.clone() {
        let mut found = 0.0;
        for connections in world.config.connections.clone() {
            let load = world.closed(generation, connections);
            let label = format!("{}, {connections} connections", generation.version());
            let (rows, ratios) = world.alternate(&targets, &load, &label).await?;
            section.ratios.extend(ratios);
            found = rows.first().map_or(found, |row| row.calls_per_second);
            section.rows.extend(rows);
        }
        let rate = world.config.rate.unwrap_or(found / 2.0).max(1.0);
        let mut load = world.closed(generation, OPEN_CONNECTIONS);
        load.pace = Pace::Open(rate);
        let label = format!("{}, open loop {rate:.0}/s", generation.version());
        let (rows, _) = world.alternate(&targets, &load, &label).await?;
        section.rows.extend(rows);
    }
    stop(all).await?;
    Ok((
        "known tokens; closed loop, then an open loop at half of what it found",
        section,
    ))
}

pub(super) async fn ramp(world: &mut World) -> anyhow::Result<Shown> {
    let missing = 1_000_usize.saturating_sub(world.tenants.len());
    let more = world.fresh_tenants(missing);
    let tenants: Vec<_> = world.tenants.iter().cloned().chain(more).collect();
    let target = world.ours.start(1).await?;
    let mut section = Section::default();
    for generation in world.config.generations.clone() {
        let mut rows = Vec::new();
        for users in [1, 10, 100, 1_000] {
            let load = world.closed(generation, CONNECTIONS);
            let label = format!("{}, {users} users", generation.version());
            let calling = tenants.get(..users).unwrap_or(&tenants);
            let mut rounds = Vec::new();
            for _ in 0..world.config.rounds {
                rounds.push(world.measure(&target, &load, &label, calling, true).await?);
            }
            rows.push(Row::median(&rounds));
        }
        if let (Some(one), Some(thousand)) = (rows.first(), rows.last()) {
            section.figures.push(Figure {
                server: target.name.clone(),
                name: format!("{}, calls/s, 1,000 users by 1", generation.version()),
                value: per(thousand.calls_per_second, one.calls_per_second),
                unit: "(flat is 1)",
            });
        }
        section.rows.extend(rows);
    }
    target.stop().await?;
    Ok(("16 connections, more and more users", section))
}

pub(super) async fn upstream(world: &World) -> anyhow::Result<Shown> {
    const DELAY: Duration = Duration::from_millis(20);
    let all = world.start_all().await?;
    let targets: Vec<&Target> = all.iter().collect();
    world.stub.set_delay(DELAY);
    let mut section = Section::default();
    for generation in world.config.generations.clone() {
        let load = world.closed(generation, OPEN_CONNECTIONS);
        let label = format!("{}, {OPEN_CONNECTIONS} connections", generation.version());
        let (rows, _) = world.alternate(&targets, &load, &label).await?;
        for row in &rows {
            section.figures.push(Figure {
                server: row.server.clone(),
                name: format!("{}, p50 beyond the API's time", generation.version()),
                value: row.p50 - DELAY.as_secs_f64() * 1e3,
                unit: "ms",
            });
        }
        section.rows.extend(rows);
    }
    world.stub.set_delay(Duration::ZERO);
    stop(all).await?;
    Ok(("the API answers after 20 ms", section))
}

pub(super) async fn mix(world: &World) -> anyhow::Result<Shown> {
    let target = world.ours.start(1).await?;
    let mut section = Section::default();
    for generation in world.config.generations.clone() {
        let mut load = world.closed(generation, CONNECTIONS);
        load.tools = vec![Tool::Create, Tool::List, Tool::List, Tool::ToolsList];
        let label = format!("{}, mix", generation.version());
        let (rows, _) = world.alternate(&[&target], &load, &label).await?;
        for row in &rows {
            section.figures.extend(row.cpu_per_1000.map(|cpu| Figure {
                server: row.server.clone(),
                name: format!("{}, CPU of a million calls", generation.version()),
                value: cpu * 1000.0,
                unit: "s",
            }));
        }
        section.rows.extend(rows);
    }
    target.stop().await?;
    Ok((
        "a quarter creates, half lists requirements, a quarter lists tools",
        section,
    ))
}

/// Ours as it is served, beside itself without the write journal.
pub(super) async fn writes(world: &World) -> anyhow::Result<Shown> {
    let mut alone = world.ours.clone();
    alone.name += ", no journal";
    let off = ("WRITE_JOURNAL_WINDOW".to_owned(), "0".to_owned());
    alone.environment.push(off);
    let (remembered, alone) = (world.ours.start(1).await?, alone.start(1).await?);
    let mut section = Section::default();
    for generation in world.config.generations.clone() {
        for connections in world.config.connections.clone() {
            let mut load = world.closed(generation, connections);
            load.tools = vec![Tool::Create];
            let label = format!("{}, {connections} connections", generation.version());
            let (rows, ratios) = world
                .alternate(&[&remembered, &alone], &load, &label)
                .await?;
            // The goals are those of a comparison with the bare SDK.
            section
                .ratios
                .extend(ratios.into_iter().map(Ratio::without_goal));
            section.rows.extend(rows);
        }
    }
    stop(vec![remembered, alone]).await?;
    Ok((
        "`create_requirement`, as served, beside no journal",
        section,
    ))
}

/// Ours with its exporters on, beside itself with them off.
pub(super) async fn telemetry(world: &World) -> anyhow::Result<Shown> {
    const BAR: f64 = 0.95;
    let mut on = world.ours.clone();
    on.name += ", exporting";
    let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT".to_owned(), world.stub.url());
    on.environment.push(endpoint);
    let (on, off) = (on.start(1).await?, world.ours.start(1).await?);
    let mut section = Section::default();
    for generation in world.config.generations.clone() {
        let load = world.closed(generation, CONNECTIONS);
        let label = format!("{}, {CONNECTIONS} connections", generation.version());
        let (rows, ratios) = world.alternate(&[&on, &off], &load, &label).await?;
        section.ratios.extend(ratios.into_iter().map(|mut ratio| {
            let is_throughput = ratio.figure == "calls/s";
            ratio.goal = is_throughput.then_some("≥ 0.95");
            ratio.reached = is_throughput.then_some(ratio.ratio >= BAR);
            ratio
        }));
        section.rows.extend(rows);
    }
    stop(vec![on, off]).await?;
    Ok((
        "spans and metrics sent to a collector, beside none",
        section,
    ))
}

pub(super) async fn soak(world: &World) -> anyhow::Result<Shown> {
    const SLICE: Duration = Duration::from_secs(5);
    let target = world.ours.start(1).await?;
    let generations = &world.config.generations;
    let generation = generations.first().copied().unwrap_or(Generation::Modern);
    let mut load = world.closed(generation, OPEN_CONNECTIONS);
    let rate = match world.config.rate {
        Some(rate) => rate,
        None => {
            let label = "to find a rate";
            let row = world.measure(&target, &load, label, &world.tenants, true);
            row.await?.calls_per_second / 3.0
        }
    };
    load.pace = Pace::Open(rate.max(1.0));
    load.length = Length::For(SLICE.min(world.config.soak));
    let (begun, mut section) = (Instant::now(), Section::default());
    while begun.elapsed() < world.config.soak {
        let label = format!("{rate:.0}/s, after {:>4} s", begun.elapsed().as_secs());
        let row = world.measure(&target, &load, &label, &world.tenants, true);
        section.rows.push(row.await?);
    }
    let resident = |row: Option<&Row>| row.and_then(|row| row.rss).unwrap_or_default();
    section.figures.push(Figure {
        server: target.name.clone(),
        name: "memory gained".to_owned(),
        value: resident(section.rows.last()) - resident(section.rows.first()),
        unit: "MiB",
    });
    target.stop().await?;
    Ok((
        "a third of what one instance can do, slice by slice",
        section,
    ))
}

async fn stop(all: Vec<Target>) -> anyhow::Result<()> {
    for target in all {
        target.stop().await?;
    }
    Ok(())
}
