//! How many landings came from one address lately: nobody opens pages as fast as a program does.

use std::net::IpAddr;

/// Length of the window that is counted.
pub const WINDOW_MS: i64 = 10_000;
/// Landings from one address within the window that people behind it may make; a whole office, or a mobile network's shared
/// address during a campaign, stays below.
pub const MAX_LANDINGS: u16 = 200;
/// Counters. Two addresses may share one, so that many of them can take no more memory; it is rare enough among those of 10 s.
const COUNTERS: usize = 4_096;

/// Counts of the window that runs. Counts what one isolate sees, no more: the platform starts several.
#[derive(Debug)]
pub struct Rate {
    window_started: i64,
    counts: Vec<u16>,
}

impl Default for Rate {
    fn default() -> Self {
        Self {
            window_started: 0,
            counts: vec![0; COUNTERS],
        }
    }
}

impl Rate {
    /// Counts a landing from `ip` at `now_ms` (milliseconds since 1970, UTC) and says whether it is more than people make.
    /// An address of a private network or of this machine is a proxy's or a developer's and never too much.
    pub fn count(&mut self, ip: &str, now_ms: i64) -> bool {
        if !(self.window_started..self.window_started + WINDOW_MS).contains(&now_ms) {
            self.window_started = now_ms;
            self.counts.fill(0);
        }
        let count = &mut self.counts[counter(ip)];
        *count = count.saturating_add(1);
        *count > MAX_LANDINGS && is_public(ip)
    }

    /// What [`Rate::count`] would say, without counting.
    pub fn is_crowded(&self, ip: &str) -> bool {
        self.counts[counter(ip)] > MAX_LANDINGS && is_public(ip)
    }
}

/// 32-bit FNV-1a, folded.
fn counter(ip: &str) -> usize {
    let hash = ip.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    (hash ^ (hash >> 16)) as usize % COUNTERS
}

fn is_public(ip: &str) -> bool {
    match ip.parse().map(|ip: IpAddr| ip.to_canonical()) {
        Ok(IpAddr::V4(ip)) => !(ip.is_private() || ip.is_loopback() || ip.is_link_local()),
        Ok(IpAddr::V6(ip)) => !(ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local()),
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_763_600_000_000;

    #[test]
    fn more_than_people_make_is_crowded_until_the_window_ends() {
        let mut rate = Rate::default();
        for _ in 0..MAX_LANDINGS {
            assert!(!rate.count("203.0.113.7", NOW));
        }
        assert!(!rate.is_crowded("203.0.113.7"));
        assert!(rate.count("203.0.113.7", NOW + WINDOW_MS - 1) && rate.is_crowded("203.0.113.7"));
        assert!(!rate.count("203.0.113.8", NOW), "the neighbour is somebody else");
        assert!(
            !rate.count("203.0.113.7", NOW + WINDOW_MS),
            "the next window begins empty"
        );
    }

    #[test]
    fn proxies_and_what_is_no_address_are_never_crowded() {
        for ip in [
            "127.0.0.1",
            "::1",
            "10.0.0.1",
            "192.168.1.1",
            "::ffff:10.0.0.1",
            "fd00::1",
            "",
            "ї",
            "1.2.3",
        ] {
            let mut rate = Rate::default();
            for _ in 0..=u32::from(u16::MAX) + 2 {
                assert!(!rate.count(ip, NOW), "{ip}");
            }
        }
    }

    #[test]
    fn a_clock_that_jumps_does_no_harm() {
        let mut rate = Rate::default();
        for now in [0, i64::from(u32::MAX), NOW, NOW - 5, 1 << 47, NOW] {
            assert!(!rate.count("203.0.113.7", now));
        }
    }
}
