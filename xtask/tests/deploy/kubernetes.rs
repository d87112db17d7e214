//! `cargo xtask deploy kubernetes` with the real kubectl.

use std::{
    path::PathBuf,
    process::{Command, Output},
};

use crate::{cluster::Cluster, stderr, succeeded, there};

/// A machine with kubectl, whose context `staging` is the stand-in.
struct Machine {
    cluster: Cluster,
    home: PathBuf,
}

impl Machine {
    /// None, visibly, without kubectl.
    fn new(test: &str) -> Option<Self> {
        if !there("kubectl", &["version", "--client"]) {
            return None;
        }
        let home = std::env::temp_dir().join(format!("xtask-k-{test}-{}", std::process::id()));
        std::fs::create_dir_all(&home).unwrap();
        let cluster = Cluster::start();
        let kubeconfig = format!(
            "apiVersion: v1\nkind: Config\n\
             clusters: [{{name: c, cluster: {{server: 'http://127.0.0.1:{}'}}}}]\n\
             contexts: [{{name: staging, context: {{cluster: c, user: u}}}}]\n\
             users: [{{name: u, user: {{}}}}]\n",
            cluster.port
        );
        std::fs::write(home.join("kubeconfig"), kubeconfig).unwrap();
        Some(Self { cluster, home })
    }

    fn deploy(&self, flags: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_xtask"))
            .args(["deploy", "kubernetes", "--environment=staging"])
            .args(flags)
            .env("CARGO_TARGET_DIR", self.home.join("target"))
            .env("KUBECONFIG", self.home.join("kubeconfig"))
            .env("KUBECACHEDIR", self.home.join("cache"))
            .output()
            .unwrap()
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.home);
    }
}

#[test]
fn a_plan_shows_what_would_be_created_and_changes_nothing() {
    let Some(machine) = Machine::new("plan") else {
        return;
    };
    let said = succeeded(machine.deploy(&[]));
    assert!(said.contains("+kind: Deployment"), "{said}");
    assert_eq!(machine.cluster.writes(), [""; 0]);
}

#[test]
fn an_apply_creates_everything_and_the_next_plan_finds_nothing_to_do() {
    let Some(machine) = Machine::new("apply") else {
        return;
    };
    let said = succeeded(machine.deploy(&["--apply"]));
    assert!(
        said.contains("deployed  braingrid-mcp to namespace braingrid-mcp-staging"),
        "{said}"
    );
    let deployment = machine
        .cluster
        .object("/deployments/braingrid-mcp")
        .unwrap();
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true);
    for kind in [
        "services",
        "horizontalpodautoscalers",
        "networkpolicies",
        "poddisruptionbudgets",
    ] {
        let end = format!("/{kind}/braingrid-mcp");
        assert!(machine.cluster.object(&end).is_some(), "{kind}");
    }
    let again = succeeded(machine.deploy(&[]));
    assert!(again.contains("nothing would change"), "{again}");
}

#[test]
fn another_image_is_shown_as_a_difference_and_patched() {
    let Some(machine) = Machine::new("update") else {
        return;
    };
    succeeded(machine.deploy(&["--apply"]));
    let planned = succeeded(machine.deploy(&["--image=registry.example.com/x:2"]));
    assert!(
        planned.contains("image: registry.example.com/x:2"),
        "{planned}"
    );
    let before = machine.cluster.writes().len();
    succeeded(machine.deploy(&["--apply", "--image=registry.example.com/x:2"]));
    let writes = machine.cluster.writes().split_off(before);
    let patched =
        |line: &String| line.starts_with("PATCH ") && line.ends_with("/deployments/braingrid-mcp");
    assert!(writes.iter().any(patched), "{writes:?}");
}

#[test]
fn a_refusal_says_what_was_not_done() {
    let Some(machine) = Machine::new("refused") else {
        return;
    };
    machine.cluster.refuse("/deployments");
    let output = machine.deploy(&["--apply"]);
    assert!(!output.status.success());
    let said = stderr(&output);
    assert!(
        said.contains("Done: nothing. Not done: apply the manifests, wait"),
        "{said}"
    );
    machine.cluster.refuse("nothing at all");
    succeeded(machine.deploy(&["--apply"]));
}
