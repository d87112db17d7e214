//! The bill of materials of a binary: what was compiled into it, as `CycloneDX` 1.5.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::PathBuf,
};

use anyhow::Context as _;
use serde_json::{Value, json};

use crate::{
    build::{Built, Edition},
    shell,
};

/// The package that the binary is of.
const ROOT: &str = "braingrid-mcp";

/// Writes it beside the binary and says where.
pub(crate) fn write(built: &Built) -> anyhow::Result<PathBuf> {
    let mut command = shell::cargo([
        "metadata",
        "--format-version=1",
        "--locked",
        "--filter-platform",
        &built.target,
    ]);
    if built.edition == Edition::Server {
        command.arg("--no-default-features");
    }
    let metadata = shell::output(&mut command)?;
    let metadata = serde_json::from_str(&metadata).context("cargo metadata printed no JSON")?;
    let bill = bill(&metadata).context("cargo metadata does not describe the server")?;
    let path = built.path.with_extension("cdx.json");
    fs::write(&path, format!("{bill:#}\n"))
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}

fn bill(metadata: &Value) -> Option<Value> {
    let packages: BTreeMap<&str, &Value> = list(metadata, "packages")?
        .iter()
        .filter_map(|package| Some((text(package, "id")?, package)))
        .collect();
    let edges: BTreeMap<&str, &Value> = list(metadata.get("resolve")?, "nodes")?
        .iter()
        .filter_map(|node| Some((text(node, "id")?, node)))
        .collect();
    let (root, server) = packages
        .iter()
        .find(|(_, package)| text(package, "name") == Some(ROOT))?;
    let used = reachable(root, &edges);
    let others = used.iter().filter(|id| *id != root);
    let components: Vec<_> = others
        .filter_map(|id| component(packages.get(id)?, "library"))
        .collect();
    Some(json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": { "component": component(server, "application")? },
        "components": components,
        "dependencies": used.iter().filter_map(|id| dependency(id, &edges, &packages)).collect::<Vec<_>>(),
    }))
}

/// Everything that ends up in the program: neither build nor development dependencies.
fn reachable<'a>(root: &'a str, edges: &BTreeMap<&'a str, &'a Value>) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let mut open = vec![root];
    while let Some(id) = open.pop() {
        if found.insert(id) {
            open.extend(edges.get(id).into_iter().flat_map(|node| linked(node)));
        }
    }
    found
}

/// The packages that a package is linked with.
fn linked(node: &Value) -> impl Iterator<Item = &str> {
    let all = list(node, "deps").into_iter().flatten();
    all.filter(|one| {
        let kinds = list(one, "dep_kinds").into_iter().flatten();
        kinds
            .into_iter()
            .any(|kind| kind.get("kind").is_none_or(Value::is_null))
    })
    .filter_map(|one| text(one, "pkg"))
}

fn dependency(
    id: &str,
    edges: &BTreeMap<&str, &Value>,
    packages: &BTreeMap<&str, &Value>,
) -> Option<Value> {
    let on: Vec<_> = linked(edges.get(id)?)
        .filter_map(|id| purl(packages.get(id)?))
        .collect();
    Some(json!({ "ref": purl(packages.get(id)?)?, "dependsOn": on }))
}

fn component(package: &Value, kind: &str) -> Option<Value> {
    let mut component = json!({
        "type": kind,
        "bom-ref": purl(package)?,
        "purl": purl(package)?,
        "name": text(package, "name")?,
        "version": text(package, "version")?,
    });
    if let (Some(licence), Some(fields)) = (text(package, "license"), component.as_object_mut()) {
        // The old way to write "or" is no SPDX expression.
        let licence = licence.replace('/', " OR ");
        fields.insert("licenses".to_owned(), json!([{ "expression": licence }]));
    }
    Some(component)
}

fn purl(package: &Value) -> Option<String> {
    let name = text(package, "name")?;
    let version = text(package, "version")?.replace('+', "%2B");
    Some(format!("pkg:cargo/{name}@{version}"))
}

fn text<'a>(value: &'a Value, field: &str) -> Option<&'a str> {
    value.get(field)?.as_str()
}

fn list<'a>(value: &'a Value, field: &str) -> Option<&'a Vec<Value>> {
    value.get(field)?.as_array()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str) -> Value {
        json!({ "id": name, "name": name, "version": "1.0.0+x", "license": "MIT/Apache-2.0" })
    }

    #[test]
    fn what_only_builds_or_tests_is_not_listed() {
        let kind = |pkg: &str, kind: Value| json!({ "pkg": pkg, "dep_kinds": [{ "kind": kind }] });
        let metadata = json!({
            "packages": [package(ROOT), package("used"), package("cc"), package("insta"), package("far")],
            "resolve": { "nodes": [
                { "id": ROOT, "deps": [
                    kind("used", Value::Null), kind("cc", json!("build")), kind("insta", json!("dev"))
                ] },
                { "id": "used", "deps": [] },
                { "id": "far", "deps": [] },
            ] },
        });
        let bill = bill(&metadata).unwrap();
        let components = bill["components"].as_array().unwrap();
        assert_eq!(components.len(), 1, "{components:?}");
        assert_eq!(components[0]["purl"], "pkg:cargo/used@1.0.0%2Bx");
        assert_eq!(
            components[0]["licenses"][0]["expression"],
            "MIT OR Apache-2.0"
        );
        assert_eq!(
            bill["dependencies"][0]["dependsOn"],
            json!(["pkg:cargo/used@1.0.0%2Bx"])
        );
    }
}
