//! `cargo xtask deploy cloud-run` with the real gcloud.

use std::{
    path::PathBuf,
    process::{Command, Output},
};

use serde_json::Value;

use crate::{google::Recorder, stderr, stdout, succeeded, there};

/// A machine with gcloud, logged in at the stand-in.
struct Machine {
    google: Recorder,
    home: PathBuf,
}

impl Machine {
    /// None, visibly, without gcloud.
    fn new(test: &str) -> Option<Self> {
        if !there("gcloud", &["--version"]) {
            return None;
        }
        let home = std::env::temp_dir().join(format!("xtask-{test}-{}", std::process::id()));
        std::fs::create_dir_all(&home).unwrap();
        std::fs::write(home.join("token"), "not-a-real-token").unwrap();
        Some(Self {
            google: Recorder::start(),
            home,
        })
    }

    fn deploy(&self, flags: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_xtask"))
            .args(["deploy", "cloud-run", "--environment=staging"])
            .args(flags)
            .env("CARGO_TARGET_DIR", self.home.join("target"))
            .env("CLOUDSDK_CONFIG", self.home.join("gcloud"))
            .env("CLOUDSDK_AUTH_ACCESS_TOKEN_FILE", self.home.join("token"))
            .env("CLOUDSDK_PROXY_TYPE", "http")
            .env("CLOUDSDK_PROXY_ADDRESS", "127.0.0.1")
            .env("CLOUDSDK_PROXY_PORT", self.google.port.to_string())
            .env("CLOUDSDK_API_ENDPOINT_OVERRIDES_RUN", "http://run.test/")
            .env(
                "CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDBUILD",
                "http://build.test/",
            )
            .env(
                "CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE",
                "http://storage.test/storage/v1/",
            )
            .env("CLOUDSDK_CORE_DISABLE_USAGE_REPORTING", "true")
            .output()
            .unwrap()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.home);
    }
}

/// The container of a service.
fn container(service: &Value) -> &Value {
    &service["spec"]["template"]["spec"]["containers"][0]
}

#[test]
fn a_plan_renders_compares_and_touches_nothing() {
    let Some(machine) = Machine::new("plan") else {
        return;
    };
    let said = succeeded(machine.deploy(&[]));
    assert!(
        said.contains("does not exist yet: it would be created"),
        "{said}"
    );
    assert!(
        said.contains(
            "claude mcp add --transport http braingrid https://mcp.staging.braingrid.ai/mcp"
        ),
        "{said}"
    );
    assert_eq!(machine.google.writes(), [""; 0]);
    let rendered = machine
        .home
        .join("target/deploy/staging/cloud-run/service.json");
    let rendered = std::fs::read_to_string(rendered).unwrap();
    for line in [
        "\"containerConcurrency\": 80",
        "\"timeoutSeconds\": 300",
        "startup-cpu-boost\": \"true\"",
    ] {
        assert!(rendered.contains(line), "{rendered}");
    }
}

#[test]
fn a_build_is_planned_first_and_then_sent_to_cloud_build() {
    let Some(machine) = Machine::new("build") else {
        return;
    };
    let said = succeeded(machine.deploy(&["--build"]));
    let build = said.find("build the image with Cloud Build").unwrap();
    assert!(build < said.find("replace the service").unwrap(), "{said}");
    assert_eq!(machine.google.writes(), [""; 0]);

    succeeded(machine.deploy(&["--build", "--apply"]));
    let build = machine.google.sent("/builds").unwrap();
    let service = machine.google.service().unwrap();
    assert_eq!(
        build["substitutions"]["_IMAGE"],
        container(&service)["image"]
    );
    assert_eq!(build["source"]["storageSource"]["object"], "source.tgz");
    let writes = machine.google.writes();
    assert!(writes[0].contains("/upload/storage/"), "{writes:?}");
}

#[test]
fn a_first_apply_creates_the_service_and_lets_everyone_reach_it() {
    let Some(machine) = Machine::new("create") else {
        return;
    };
    let said = succeeded(machine.deploy(&["--apply"]));
    assert!(
        said.contains("https://braingrid-mcp-abc-ew.a.run.app"),
        "{said}"
    );
    let service = machine.google.service().unwrap();
    let limits = &container(&service)["resources"]["limits"];
    assert_eq!(
        (limits["cpu"].as_str(), limits["memory"].as_str()),
        (Some("1"), Some("512Mi"))
    );
    let env = container(&service)["env"].as_array().unwrap();
    let variable = |name: &str| env.iter().find(|one| one["name"] == name).unwrap();
    for (name, secret) in [
        ("ENCRYPTION_KEY", "braingrid-mcp-encryption-key"),
        (
            "UPSTREAM_CLIENT_SECRET",
            "braingrid-mcp-upstream-client-secret",
        ),
    ] {
        let reference = &variable(name)["valueFrom"]["secretKeyRef"];
        assert_eq!(reference["name"], secret);
    }
    assert_eq!(variable("UPSTREAM_MODE")["value"], "exchange");
    assert!(container(&service)["startupProbe"]["httpGet"]["path"] == "/health");
    let binding = &machine.google.policy()["bindings"][0];
    assert_eq!(
        (binding["role"].as_str(), binding["members"][0].as_str()),
        (Some("roles/run.invoker"), Some("allUsers"))
    );
    let writes = machine.google.writes();
    assert!(
        writes[0].starts_with("POST http://europe-west1-run.test/"),
        "{writes:?}"
    );
}

#[test]
fn an_update_shows_its_difference_and_replaces_the_service() {
    let Some(machine) = Machine::new("update") else {
        return;
    };
    succeeded(machine.deploy(&["--apply"]));
    let same = succeeded(machine.deploy(&["--plan"]));
    assert!(same.contains("nothing would change"), "{same}");
    let planned = succeeded(machine.deploy(&["--plan", "--image=registry.example.com/x:2"]));
    let line = "~ spec.template.spec.containers.0.image = registry.example.com/x:2 (was europe-west1-docker";
    assert!(planned.contains(line), "{planned}");
    succeeded(machine.deploy(&["--apply", "--image=registry.example.com/x:2"]));
    let service = machine.google.service().unwrap();
    assert_eq!(container(&service)["image"], "registry.example.com/x:2");
    assert!(
        machine
            .google
            .writes()
            .iter()
            .any(|line| line.starts_with("PUT "))
    );
}

#[test]
fn a_failure_half_way_says_what_was_done_and_the_next_run_finishes() {
    let Some(machine) = Machine::new("failure") else {
        return;
    };
    machine.google.refuse(":setIamPolicy");
    let output = machine.deploy(&["--apply"]);
    assert!(!output.status.success());
    let said = stderr(&output);
    assert!(
        said.contains("Done: replace the service. Not done: let everyone reach it"),
        "{said}"
    );
    assert!(machine.google.service().is_some());
    machine.google.refuse("nothing at all");
    succeeded(machine.deploy(&["--apply"]));
    assert_eq!(
        machine.google.policy()["bindings"][0]["members"][0],
        "allUsers"
    );
}

#[test]
fn what_cannot_be_replaced_leaves_the_policy_alone() {
    let Some(machine) = Machine::new("refused") else {
        return;
    };
    machine.google.refuse("POST ");
    let output = machine.deploy(&["--apply"]);
    assert!(!output.status.success());
    assert!(
        stderr(&output).contains("Done: nothing."),
        "{}",
        stderr(&output)
    );
    assert!(machine.google.policy().is_null());
}

#[test]
fn a_secret_on_the_command_line_is_refused_and_not_shown() {
    let secret = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    for setting in [
        format!("--set=ENCRYPTION_KEY={secret}"),
        format!("--set=LOG_LEVEL={secret}"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_xtask"))
            .args(["deploy", "cloud-run", "--environment=staging", &setting])
            .output()
            .unwrap();
        let said = stdout(&output) + &stderr(&output);
        assert!(!output.status.success() && !said.contains(secret), "{said}");
        assert!(said.contains("Secret Manager"), "{said}");
    }
}
