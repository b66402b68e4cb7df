//! Before a full sync: the same rules as in `check`, heeded. What is running is waited for; what
//! would harm the server is done with a warning, or not at all, as the configuration says
//! (`link.preflight`).

use std::time::{Duration, Instant};

use super::facts::Facts;
use super::{Finding, Verdict, sync};
use crate::clock;
use crate::config::Preflight;
use crate::side::client::{Client, SideError};

/// Longest wait for what is running. A host that saves all the time would never be copied from.
const WAIT_MAX: Duration = Duration::from_secs(600);

/// How often it is asked whether it still runs.
const WAIT_STEP: Duration = Duration::from_secs(1);

/// One link's way to a full sync.
#[derive(Clone, Copy, Debug)]
pub struct Flight {
    policy: Preflight,
    until: Instant,
}

/// What to do now.
#[derive(Debug, PartialEq, Eq)]
enum Stand<'a> {
    Go,
    Hold(&'a Finding),
    Refuse(&'a Finding),
}

impl Flight {
    /// A flight that begins now.
    pub fn new(policy: Preflight) -> Flight {
        Flight {
            policy,
            until: clock::now() + WAIT_MAX,
        }
    }

    /// Waits until nothing speaks against a full sync any more; `Some` with the reason if it is
    /// not to be.
    ///
    /// # Errors
    /// The connection failed.
    pub async fn clear(
        &self,
        client: &mut Client,
        name: &str,
    ) -> Result<Option<String>, SideError> {
        let mut told = None;
        loop {
            let facts = Facts::vitals(client).await?;
            let findings = sync::judge(&facts);
            match self.weigh(&findings, clock::now()) {
                Stand::Go => {
                    log(name, &findings);
                    return Ok(None);
                }
                Stand::Refuse(finding) => return Ok(Some(finding.to_string())),
                Stand::Hold(finding) if told != Some(finding.name) => {
                    told = Some(finding.name);
                    tracing::info!(server = name, check = finding.name, found = %finding.found, "full sync waits");
                }
                Stand::Hold(_) => {}
            }
            tokio::time::sleep(WAIT_STEP).await;
        }
    }

    /// Whether nothing has begun since, while we waited for our turn.
    ///
    /// # Errors
    /// The connection failed.
    pub async fn is_clear(&self, client: &mut Client) -> Result<bool, SideError> {
        let findings = sync::judge(&Facts::glance(client).await?);
        Ok(!matches!(
            self.weigh(&findings, clock::now()),
            Stand::Hold(_)
        ))
    }

    fn weigh<'a>(&self, findings: &'a [Finding], now: Instant) -> Stand<'a> {
        let of = |verdict| findings.iter().find(|finding| finding.verdict == verdict);
        match (self.policy, of(Verdict::Wait), of(Verdict::Refuse)) {
            (Preflight::Warn, ..) => Stand::Go,
            (Preflight::Refuse, _, Some(finding)) => Stand::Refuse(finding),
            (Preflight::Wait | Preflight::Refuse, Some(finding), _) if now < self.until => {
                Stand::Hold(finding)
            }
            (Preflight::Refuse, Some(finding), None) => Stand::Refuse(finding),
            (Preflight::Wait, ..) | (Preflight::Refuse, None, None) => Stand::Go,
        }
    }
}

/// Says at what price the full sync is had.
fn log(name: &str, findings: &[Finding]) {
    for finding in findings {
        let cure = finding.cure.as_deref().unwrap_or("");
        match finding.verdict {
            Verdict::Ok => {}
            Verdict::Warn => {
                tracing::info!(server = name, check = finding.name, found = %finding.found, cure, "before a full sync");
            }
            Verdict::Wait | Verdict::Refuse => {
                tracing::warn!(server = name, check = finding.name, found = %finding.found, cure, "before a full sync");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_decides() {
        let finding = |verdict| Finding::new("x", verdict, "x");
        let [ok, warn, wait, refuse] =
            [Verdict::Ok, Verdict::Warn, Verdict::Wait, Verdict::Refuse].map(finding);
        let now = clock::now();
        let late = now + WAIT_MAX;
        for (findings, when, expected) in [
            (vec![&ok, &warn], now, ["go", "go", "go"]),
            (vec![&wait], now, ["go", "hold", "hold"]),
            (vec![&wait], late, ["go", "go", "refuse"]),
            (vec![&refuse], now, ["go", "go", "refuse"]),
            (vec![&wait, &refuse], now, ["go", "hold", "refuse"]),
        ] {
            let findings: Vec<Finding> = findings.into_iter().cloned().collect();
            let policies = [Preflight::Warn, Preflight::Wait, Preflight::Refuse];
            for (policy, expected) in policies.into_iter().zip(expected) {
                let flight = Flight {
                    policy,
                    until: late,
                };
                let stand = match flight.weigh(&findings, when) {
                    Stand::Go => "go",
                    Stand::Hold(_) => "hold",
                    Stand::Refuse(_) => "refuse",
                };
                assert_eq!(stand, expected, "{policy:?} {findings:?}");
            }
        }
    }
}
