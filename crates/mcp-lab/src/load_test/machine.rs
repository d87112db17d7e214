//! What the system says of processes and of itself, and which cores do what. Linux only; elsewhere
//! nothing is pinned and these figures are missing.

use std::fs;

use serde::Serialize;

/// Where the figures come from.
#[derive(Clone, Debug, Serialize)]
pub struct Machine {
    /// As the kernel names it.
    pub processor: String,
    /// How many cores we may use.
    pub cores: usize,
    /// Its name and release.
    pub system: String,
    /// Which core the servers have, and which ones everything else; nothing when not pinned.
    pub pinned: Option<String>,
    /// Load average of the last minute before the run: what else was going on.
    pub load_before: Option<f64>,
}

/// Which core is the servers'.
#[derive(Clone, Copy, Debug)]
pub struct ServerCore(pub(super) usize);

impl Machine {
    pub(super) fn look(core: Option<ServerCore>) -> Self {
        let processor = field_of("/proc/cpuinfo", "model name");
        let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let load = fs::read_to_string("/proc/loadavg").ok();
        let cores = allowed_cores().len().max(1);
        Self {
            processor: processor.unwrap_or_else(|| std::env::consts::ARCH.to_owned()),
            cores: cores + usize::from(core.is_some()),
            system: format!("{} {}", std::env::consts::OS, release.trim()),
            pinned: core.map(|ServerCore(core)| {
                format!(
                    "servers on core {core}, everything else on {:?}",
                    allowed_cores()
                )
            }),
            load_before: load.and_then(|text| text.split(' ').next()?.parse().ok()),
        }
    }
}

/// Leaves the first core to the servers and takes the others for this process and whatever it
/// starts. Must be called before threads are started. Nothing is pinned on a single core.
#[must_use]
pub fn leave_a_core() -> Option<ServerCore> {
    let (first, others) = allowed_cores()
        .split_first()
        .map(|(first, others)| (*first, others.to_vec()))?;
    (!others.is_empty() && stay_on(&others)).then_some(ServerCore(first))
}

#[cfg(target_os = "linux")]
fn stay_on(cores: &[usize]) -> bool {
    use nix::{
        sched::{CpuSet, sched_setaffinity},
        unistd::Pid,
    };
    let mut set = CpuSet::new();
    cores.iter().all(|core| set.set(*core).is_ok())
        && sched_setaffinity(Pid::from_raw(0), &set).is_ok()
}

#[cfg(target_os = "linux")]
fn allowed_cores() -> Vec<usize> {
    use nix::{
        sched::{CpuSet, sched_getaffinity},
        unistd::Pid,
    };
    let Ok(set) = sched_getaffinity(Pid::from_raw(0)) else {
        return Vec::new();
    };
    (0..CpuSet::count())
        .filter(|core| set.is_set(*core).unwrap_or_default())
        .collect()
}

#[cfg(not(target_os = "linux"))]
fn stay_on(_: &[usize]) -> bool {
    false
}

#[cfg(not(target_os = "linux"))]
fn allowed_cores() -> Vec<usize> {
    Vec::new()
}

/// Processor time of a process so far, in seconds: all its threads, user and system.
pub(super) fn processor_seconds(process: u32) -> Option<f64> {
    // The fields after the program's name, which may hold spaces.
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<f64>().ok();
    Some((ticks()? + ticks()?) / TICKS_PER_SECOND)
}

/// `USER_HZ`, which is 100 on every architecture we run on.
const TICKS_PER_SECOND: f64 = 100.0;

/// Resident memory of a process now, in MiB.
pub(super) fn resident_mib(process: u32) -> Option<f64> {
    let text = field_of(&format!("/proc/{process}/status"), "VmRSS")?;
    let kilobytes: f64 = text.split(' ').next()?.parse().ok()?;
    Some(kilobytes / 1024.0)
}

fn field_of(file: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_memory_and_processor_time() {
        let us = std::process::id();
        assert!(resident_mib(us).unwrap() > 1.0);
        assert!(processor_seconds(us).unwrap() >= 0.0);
        assert!(processor_seconds(u32::MAX).is_none());
    }
}
