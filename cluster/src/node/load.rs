//! The machine's load, in the words of Ant Media's node record.
//!
//! Read through `sysinfo`, which knows `/proc` and its peers elsewhere. The processor's load is
//! the mean over all cores since the last reading.

use sysinfo::{CpuRefreshKind, MemoryRefreshKind, RefreshKind, System};

const BYTES_PER_MB: u64 = 1024 * 1024;

/// Reads the machine's load; keeps what a difference needs.
#[derive(Debug)]
pub struct Load {
    /// `None` where the system tells nothing; then all figures are 0.
    system: Option<System>,
}

impl Default for Load {
    fn default() -> Self {
        Self::new()
    }
}

impl Load {
    /// Starts the first window.
    #[must_use]
    pub fn new() -> Self {
        let kind = RefreshKind::nothing()
            .with_cpu(CpuRefreshKind::nothing().with_usage())
            .with_memory(MemoryRefreshKind::nothing().with_ram());
        Self {
            system: System::new_with_specifics(kind).ok(),
        }
    }

    /// Mean load of the processors since the last call, 0 to 100. Calls less than
    /// [`sysinfo::MINIMUM_CPU_UPDATE_INTERVAL`] apart see one window.
    pub fn cpu_percent(&mut self) -> u8 {
        let Some(system) = &mut self.system else {
            return 0;
        };
        system.refresh_cpu_usage();
        let percent = system.global_cpu_usage().round().clamp(0.0, 100.0);
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "clamped to 0..=100 above; NaN becomes 0"
        )]
        let percent = percent as u8;
        percent
    }

    /// Memory in use and in all, `"usedMB/totalMB"`.
    pub fn memory(&mut self) -> String {
        let Some(system) = &mut self.system else {
            return "0/0".to_owned();
        };
        system.refresh_memory_specifics(MemoryRefreshKind::nothing().with_ram());
        let used_mb = system.used_memory() / BYTES_PER_MB;
        let total_mb = system.total_memory() / BYTES_PER_MB;
        format!("{used_mb}/{total_mb}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_reads_used_of_total() {
        let text = Load::new().memory();
        let (used, total) = text.split_once('/').unwrap();
        let (used, total): (u64, u64) = (used.parse().unwrap(), total.parse().unwrap());
        assert!(used > 0 && used <= total, "{text}");
    }

    #[test]
    fn a_busy_machine_is_seen() {
        let mut load = Load::new();
        load.cpu_percent();
        let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(30);
        let mut seen = 0;
        while seen == 0 && tokio::time::Instant::now() < deadline {
            let mut sum = 0_u64;
            for i in 0..20_000_000_u64 {
                sum = std::hint::black_box(sum.wrapping_add(i));
            }
            seen = load.cpu_percent();
        }
        assert!((1..=100).contains(&seen), "{seen}");
    }
}
