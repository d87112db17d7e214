//! Refreshes in a process of its own, which outlives the one that wants the token.
//!
//! Clients end their servers as they like. An issuer that takes each refresh token once gives the
//! next one to whoever sent the request and to nobody else, so that one must live to save it.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Stdio;

use serde::{Deserialize, Serialize};
use tokio::process::Command;

use super::error::LoginError;
use super::refresh::{Over, RefreshError, refresh};
use super::store::{CredentialStore, Loaded};

/// A program that calls [`refresh`](super::refresh()) on the same store, and prints the
/// [`report`].
#[derive(Debug, Clone)]
pub struct Helper {
    /// The program.
    pub program: PathBuf,
    /// Its arguments; the stamp of the login and its place in the store follow.
    pub arguments: Vec<String>,
    /// Variables to set for it.
    pub environment: Vec<(&'static str, OsString)>,
}

/// How it went, as the helper tells it.
#[derive(Serialize, Deserialize)]
enum Report {
    Done,
    None,
    Busy,
    Over(Over),
    Failed { text: String, passing: bool },
}

/// What a helper prints.
pub fn report(outcome: &Result<Loaded, RefreshError>) -> String {
    let report = match outcome {
        Ok(_) => Report::Done,
        Err(RefreshError::None) => Report::None,
        Err(RefreshError::Busy) => Report::Busy,
        Err(RefreshError::Over(over)) => Report::Over(over.clone()),
        Err(RefreshError::Failed(error)) => Report::Failed {
            text: error.to_string(),
            passing: error.is_passing(),
        },
    };
    serde_json::to_string(&report).unwrap_or_default()
}

impl Helper {
    /// Lets the program refresh; where it cannot be started, this process does it.
    pub(crate) async fn refresh(
        &self,
        store: &CredentialStore,
        slot: &str,
        seen: &str,
        patient: bool,
    ) -> Result<Loaded, RefreshError> {
        let Some(report) = self.run(store, slot, seen, patient).await else {
            return refresh(store, slot, seen, patient).await;
        };
        match report {
            Report::Done => store.loaded().await?.ok_or(RefreshError::None),
            Report::None => Err(RefreshError::None),
            Report::Busy => Err(RefreshError::Busy),
            Report::Over(over) => Err(RefreshError::Over(over)),
            Report::Failed { text, passing } => Err(LoginError::Told { text, passing }.into()),
        }
    }

    async fn run(
        &self,
        store: &CredentialStore,
        slot: &str,
        seen: &str,
        patient: bool,
    ) -> Option<Report> {
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .arg(seen)
            .arg(slot)
            // Not in the folder the server was started in: that one may be anybody's.
            .current_dir(store.directory())
            .args(patient.then_some("--wait"))
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        // A signal to the server's process group is not meant for it.
        #[cfg(unix)]
        command.process_group(0);
        let output = command.spawn().ok()?.wait_with_output().await.ok()?;
        serde_json::from_slice(&output.stdout).ok()
    }
}
