//! What something costs: time on the wall, processor time of the gateway's own threads, and peak memory.

use std::collections::HashMap;
use std::fs;
use std::time::Instant;

use serde::Serialize;

/// Threads that play the rest of the world; their work is not the gateway's.
pub(super) const FOREIGN: &str = "bench-";
/// The simulated EHR's web server names its threads so.
const FOREIGN_WEB: &str = "actix";

/// The cost of one stretch of work.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct Cost {
    pub seconds: f64,
    /// Of all the gateway's threads together, in seconds.
    pub cpu_seconds: f64,
    /// The most memory that was resident meanwhile, of the whole process, in megabytes.
    pub peak_megabytes: f64,
}

impl Cost {
    pub fn rate(&self, count: u64) -> f64 {
        count as f64 / self.seconds.max(1e-9)
    }

    /// Processor time for each of `count`, in microseconds.
    pub fn micros_each(&self, count: u64) -> f64 {
        self.cpu_seconds * 1e6 / count.max(1) as f64
    }
}

/// Measures from its making on.
#[derive(Debug)]
pub struct Meter {
    started: Instant,
    cpu: CpuTime,
}

impl Meter {
    pub fn start() -> Self {
        // Resets the high-water mark; where that is not allowed, the peak is that of the whole run.
        let _not_allowed = fs::write("/proc/self/clear_refs", "5");
        let mut cpu = CpuTime::default();
        cpu.lap();
        Self { started: Instant::now(), cpu }
    }

    pub fn stop(mut self) -> Cost {
        Cost {
            seconds: self.started.elapsed().as_secs_f64(),
            cpu_seconds: self.cpu.lap() as f64 / 1e9,
            peak_megabytes: status_kilobytes("VmHWM:") / 1024.0,
        }
    }
}

/// Processor time by thread, as the kernel counts it. Zero where there is no `/proc`.
#[derive(Debug, Default)]
pub struct CpuTime {
    threads: HashMap<String, u64>,
}

impl CpuTime {
    /// Nanoseconds since the last lap. What a thread did between the last lap and its end is not seen.
    pub fn lap(&mut self) -> u64 {
        let mut spent = 0;
        for entry in fs::read_dir("/proc/self/task").into_iter().flatten().flatten() {
            let path = entry.path();
            let name = fs::read_to_string(path.join("comm")).unwrap_or_default();
            if name.starts_with(FOREIGN) || name.starts_with(FOREIGN_WEB) {
                continue;
            }
            let statistics = fs::read_to_string(path.join("schedstat")).unwrap_or_default();
            let now: u64 = statistics.split(' ').next().and_then(|text| text.parse().ok()).unwrap_or_default();
            let id = entry.file_name().to_string_lossy().into_owned();
            spent += now.saturating_sub(self.threads.insert(id, now).unwrap_or(0));
        }
        spent
    }
}

fn status_kilobytes(name: &str) -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    line.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_costs_time_and_the_world_s_work_does_not_count() {
        let spin = || {
            let begin = Instant::now();
            while begin.elapsed().as_millis() < 60 {
                std::hint::black_box(0);
            }
        };
        let mut cpu = CpuTime::default();
        cpu.lap();
        spin();
        let own = cpu.lap();
        // Other tests may run beside this one, so that only the lower bound is certain.
        assert!(own > 1_000_000, "{own} ns");
        assert!(status_kilobytes("VmHWM:") > 1000.0);
    }
}
