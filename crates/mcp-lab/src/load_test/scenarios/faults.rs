//! Scenarios in which something is new or goes wrong.

use std::time::Instant;

use anyhow::{Context, bail};

use super::Shown;
use mcp_test_support::{Issuer, client::Generation};

use crate::load_test::{
    call::{Template, Tool},
    connection::Connection,
    drive::Length,
    report::{Figure, Row, Section, count, median, per},
    target::{Recipe, Target},
    world::World,
};

const CONNECTIONS: usize = 16;
/// RS256 tokens are dear to make: so many for each load of new ones.
const NEW_TOKENS: usize = 2_000;
const STARTS: usize = 15;

pub(super) async fn cold(world: &mut World) -> anyhow::Result<Shown> {
    let mut section = Section::default();
    let recipes: Vec<_> = std::iter::once(&world.ours)
        .chain(&world.others)
        .cloned()
        .collect();
    let mut found = vec![Vec::new(); recipes.len()];
    for start in 0..STARTS {
        world.say(&format!("cold start {} of {STARTS}", start + 1));
        for (recipe, found) in recipes.iter().zip(&mut found) {
            found.push(one_start(world, recipe).await?);
        }
    }
    for (recipe, found) in recipes.iter().zip(found) {
        let names = [
            ("start to /health", "ms"),
            ("start to the first answer to a token", "ms"),
            ("initialize, p50", "ms"),
            ("memory before the first call", "MiB"),
        ];
        for (at, (name, unit)) in names.into_iter().enumerate() {
            section.figures.push(Figure {
                server: recipe.name.clone(),
                name: name.to_owned(),
                value: median(found.iter().map(|figures: &[f64; 4]| figures[at]).collect()),
                unit,
            });
        }
    }
    Ok(("medians of 15 starts; every token is new", section))
}

/// Milliseconds to `/health`, to the first answer, for `initialize`; memory before the first call.
async fn one_start(world: &mut World, recipe: &Recipe) -> anyhow::Result<[f64; 4]> {
    let tenant = world.fresh_tenants(1);
    let tenant = tenant.first().context("a tenant")?;
    let template = Template::new(tenant, Generation::Legacy, &Tool::Create)?;
    let begun = Instant::now();
    let target = recipe.start(1).await?;
    let healthy = milliseconds(begun);
    let memory = target.resident_mib().unwrap_or_default();
    let endpoint = target.endpoints.first().context("an endpoint")?.clone();
    let mut connection = Connection::new(endpoint.clone());
    let answer = connection.call(template.request(&endpoint, 1)).await?;
    let answered = milliseconds(begun);
    if let Err((kind, words)) = template.check(1, &answer) {
        bail!("the first answer of {}: {kind}: {words}", recipe.name);
    }
    let mut initialized = Vec::new();
    for _ in 0..21 {
        let [initialize, _] = template.handshake(&endpoint);
        let begun = Instant::now();
        let answer = connection.call(initialize).await?;
        initialized.push(milliseconds(begun));
        if !answer.status.is_success() {
            bail!("initialize was answered {}", answer.status);
        }
    }
    target.stop().await?;
    Ok([healthy, answered, median(initialized), memory])
}

fn milliseconds(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

pub(super) async fn new_token(world: &mut World) -> anyhow::Result<Shown> {
    let target = world.ours.start(1).await?;
    let mut section = Section::default();
    for generation in world.config.generations.clone() {
        let version = generation.version();
        let load = world.closed(generation, CONNECTIONS);
        let labels = ["known", "new"].map(|which| format!("{version}, {which} tokens"));
        let (mut known, mut new) = (Vec::new(), Vec::new());
        for _ in 0..world.config.rounds {
            let row = world.measure(&target, &load, &labels[0], &world.tenants, true);
            known.push(row.await?);
            new.push(new_tokens(world, &target, generation, &labels[1]).await?);
        }
        let pairs = known.iter().zip(&new);
        let more = pairs.filter_map(|(known, new)| Some(new.cpu_per_1000? - known.cpu_per_1000?));
        let more: Vec<_> = more.collect();
        if !more.is_empty() {
            section.figures.push(Figure {
                server: target.name.clone(),
                name: format!("{version}, CPU of a new token"),
                value: median(more) * 1000.0,
                unit: "µs more than a known one (goal: 40)",
            });
        }
        section
            .rows
            .extend([Row::median(&known), Row::median(&new)]);
    }
    target.stop().await?;
    Ok((
        "a token that nobody has seen with each call, Redis behind it",
        section,
    ))
}

/// Each of some new tokens is used once.
async fn new_tokens(
    world: &mut World,
    target: &Target,
    generation: Generation,
    label: &str,
) -> anyhow::Result<Row> {
    world.say(&format!("{label}: making tokens"));
    let tenants = world.fresh_tenants(NEW_TOKENS);
    let mut load = world.closed(generation, CONNECTIONS);
    load.length = Length::EachTenantOnce;
    world.measure(target, &load, label, &tenants, false).await
}

pub(super) async fn replicas(world: &mut World) -> anyhow::Result<Shown> {
    let instances = world.config.replicas;
    let target = world.ours.start(instances).await?;
    let mut section = Section::default();
    for generation in world.config.generations.clone() {
        let load = world.closed(generation, CONNECTIONS);
        let tenants = world.fresh_tenants(200);
        let label = format!("{}, {instances} instances in turn", generation.version());
        // Not made known first: the tiers show each instance meeting each token once.
        let row = world.measure(&target, &load, &label, &tenants, false);
        section.rows.push(row.await?);
    }
    target.stop().await?;
    Ok(("every call of a tenant goes to the next instance", section))
}

pub(super) async fn redis(world: &mut World) -> anyhow::Result<Shown> {
    let target = world.ours.start(1).await?;
    let mut section = Section::default();
    let generations = &world.config.generations;
    let generation = generations.first().copied().unwrap_or(Generation::Modern);
    section
        .figures
        .push(hung_by_well(world, &target, generation).await?);
    for state in ["well", "hung", "gone", "back"] {
        let redis = world.redis.as_mut().context("a Redis")?;
        match state {
            "hung" => redis.pause()?,
            "gone" => {
                redis.resume()?;
                redis.kill();
            }
            "back" => redis.restart().await?,
            _ => {}
        }
        world.redis_is_away = matches!(state, "hung" | "gone");
        let load = world.closed(generation, CONNECTIONS);
        let label = format!("Redis {state}, known tokens");
        let (known, _) = world.alternate(&[&target], &load, &label).await?;
        let label = format!("Redis {state}, new tokens");
        let new = new_tokens(world, &target, generation, &label).await?;
        section.rows.extend(known);
        section.rows.push(new);
    }
    target.stop().await?;
    Ok((
        "Redis is well, stopped (SIGSTOP), killed, and back",
        section,
    ))
}

/// Whether a Redis that hangs is noticed by tokens that are known: both in turn, round by round.
async fn hung_by_well(
    world: &mut World,
    target: &Target,
    generation: Generation,
) -> anyhow::Result<Figure> {
    let load = world.closed(generation, CONNECTIONS);
    let mut by_well = Vec::new();
    for _ in 0..world.config.rounds {
        let mut p99 = [0.0; 2];
        for (p99, hangs) in p99.iter_mut().zip([false, true]) {
            let redis = world.redis.as_mut().context("a Redis")?;
            if hangs {
                redis.pause()?;
            }
            world.redis_is_away = hangs;
            let label = if hangs { "hung" } else { "well" };
            let row = world.measure(target, &load, label, &world.tenants, true);
            *p99 = row.await?.p99;
        }
        let redis = world.redis.as_mut().context("a Redis")?;
        redis.resume()?;
        world.redis_is_away = false;
        by_well.push(per(p99[1], p99[0]));
    }
    Ok(Figure {
        server: target.name.clone(),
        name: "Redis hung: p99 of known tokens by well".to_owned(),
        value: median(by_well),
        unit: "(goal: at most 1.10)",
    })
}

pub(super) async fn rotation(world: &mut World) -> anyhow::Result<Shown> {
    let mut section = Section::default();
    for generation in world.config.generations.clone() {
        // A fresh instance: for some seconds after a fetch no other one is made, and an issuer that
        // signs with a second new key within them is another story.
        let target = world.ours.start(1).await?;
        let version = generation.version();
        let load = world.closed(generation, CONNECTIONS);
        let label = format!("{version}, before");
        let (before, _) = world.alternate(&[&target], &load, &label).await?;
        let before_it = world.issuer.count(Issuer::JWKS_PATH);
        world.issuer.rotate_with_overlap();
        let label = format!("{version}, tokens of the new key");
        let new = new_tokens(world, &target, generation, &label).await?;
        let fetches = world.issuer.count(Issuer::JWKS_PATH) - before_it;
        let label = format!("{version}, tokens of the old key");
        let (old, _) = world.alternate(&[&target], &load, &label).await?;
        section.rows.extend(before);
        section.rows.push(new);
        section.rows.extend(old);
        section.figures.push(Figure {
            server: target.name.clone(),
            name: format!("{version}, key sets fetched"),
            value: count(u64::try_from(fetches)?),
            unit: "times",
        });
        target.stop().await?;
    }
    Ok((
        "the issuer signs with a new key; the old one stays published",
        section,
    ))
}
