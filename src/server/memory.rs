//! Memory goes back to the system after a peak.
//!
//! What bodies took is free when they have gone, but the allocator keeps it: 300 of
//! 240 KB at once left 99 MiB resident of which 45 were used, in a container that may
//! have 64.

use super::Context;
use super::hints::apart;
use crate::hyperscan::give_memory_back;
use std::sync::Arc;
use std::time::Duration;

/// How often it is looked.
const LOOK: Duration = Duration::from_secs(5);
/// How often at least, where nothing came of it.
const SELDOM: Duration = Duration::from_secs(20);
/// Bytes for which it is worth while.
const WORTH: u64 = 16 << 20;

/// Gives back what was freed whenever the process has grown and few of the bytes are
/// those of bodies. What stays may be in use: it is tried again later.
pub(super) async fn tend(context: Arc<Context>) {
    let (mut least, mut wait) = (resident(), LOOK);
    loop {
        tokio::time::sleep(wait).await;
        let now = resident();
        least = least.min(now);
        let grown = now - least;
        let buffered = u64::try_from(context.metrics.buffered_bytes.get()).unwrap_or(0);
        if !is_worth_while(grown, buffered) {
            wait = LOOK;
            continue;
        }
        let _ = apart(give_memory_back).await;
        let is_back = resident().saturating_sub(least) < grown / 2;
        wait = if is_back { LOOK } else { (2 * wait).min(SELDOM) };
    }
}

fn is_worth_while(grown: u64, buffered: u64) -> bool {
    grown >= WORTH && buffered < grown / 4
}

/// Bytes of the process that are in memory; 0 where the system does not tell.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kilobytes = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let number = kilobytes.and_then(|rest| rest.split_whitespace().next()?.parse::<u64>().ok());
    number.unwrap_or(0) * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_bodies_need_is_left_alone() {
        assert!(is_worth_while(WORTH, 0));
        assert!(!is_worth_while(WORTH - 1, 0));
        assert!(!is_worth_while(2 * WORTH, WORTH));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_system_tells_what_is_resident() {
        assert!(resident() > 1 << 20);
    }
}
