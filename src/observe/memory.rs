//! How much memory the process holds.
//!
//! Owns the reading of the kernel's figure. Called by `observe::metrics` at each scrape, and by the pipeline where
//! it decides whether to take more in.

/// Bytes of physical memory that this process holds now; `None` where the kernel does not say (not Linux).
pub fn resident_bytes() -> Option<u64> {
    // `VmRSS` of status is in KiB whatever the page size, which statm is not.
    resident_of(&std::fs::read_to_string("/proc/self/status").ok()?)
}

fn resident_of(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_figure_is_read() {
        for (status, expect) in [
            ("Name:\tx\nVmRSS:\t    1024 kB\nVmSwap:\t0 kB\n", Some(1 << 20)),
            ("VmRSS:\t 18446744073709551615 kB\n", None),
            ("VmRSS:\t x kB\n", None),
            ("", None),
        ] {
            assert_eq!(resident_of(status), expect, "{status:?}");
        }
    }
}
