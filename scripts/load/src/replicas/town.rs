//! The town: servers on one store, a balancer in front of them, and what was found out about them.

use super::{
    PATIENCE, RECOVERY, REPLICAS,
    balancer::Balancer,
    cluster::Cluster,
    traffic::{Fate, Log, SHARED, shared_key},
};
use crate::ours::{self, WRITE_TOOL};
use crate::process::{Running, free_port, wait_for_port};
use crate::wire::{Call, Era, Failure, Target, call_once};
use serde_json::json;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Several probes of the balancer: it is out before new work is refused.
const DRAIN_DELAY_MS: u64 = 1_000;

/// The servers and what is in front of and behind them.
pub(super) struct Town {
    pub(super) product: ours::Server,
    pub(super) replicas: Vec<Option<Running>>,
    pub(super) ports: Vec<u16>,
    pub(super) balancer: Balancer,
    pub(super) cluster: Cluster,
    pub(super) key: ours::Key,
    /// Through the balancer.
    pub(super) target: Target,
    pub(super) work: PathBuf,
    pub(super) report: Vec<String>,
    pub(super) violations: Vec<String>,
}

impl Town {
    pub(super) fn build(server: &Path, work: &Path, data: &Path, cluster: Cluster) -> Result<Self, Failure> {
        let catalogue = data.join("catalogue");
        std::fs::create_dir_all(&catalogue)?;
        let settings = format!("drain_delay_ms = {DRAIN_DELAY_MS}\n[server]\ncatalogue = [{catalogue:?}]\n");
        let product = ours::Server::new(server, data, Some(cluster.url()), &settings)?;
        let key = product.mint()?;
        let ports = (0..REPLICAS)
            .map(|_| free_port())
            .collect::<Result<Vec<_>, _>>()?;
        let balancer = Balancer::start(&ports)?;
        let target = ours::Server::target(balancer.port(), &key.secret)?;
        let mut town = Self {
            product,
            replicas: (0..REPLICAS).map(|_| None).collect(),
            ports,
            balancer,
            cluster,
            key,
            target,
            work: work.to_owned(),
            report: Vec::new(),
            violations: Vec::new(),
        };
        for at in 0..REPLICAS {
            town.start(at)?;
        }
        for number in 0..SHARED {
            let arguments = json!({ "key": shared_key(number), "content": "shared" }).to_string();
            call_once(
                &town.target,
                &Call::tool(Era::Modern, WRITE_TOOL, &arguments),
                PATIENCE,
            )?;
        }
        Ok(town)
    }

    pub(super) fn start(&mut self, at: usize) -> Result<(), Failure> {
        let port = *self.ports.get(at).ok_or("no such replica")?;
        let log = self.work.join(format!("server-{at}.log"));
        let mut running = Running::start("the server", self.product.serve(None, port), &log)?;
        wait_for_port(&mut running, port)
            .map_err(|e| format!("{e}: {}", std::fs::read_to_string(&log).unwrap_or_default()))?;
        if let Some(place) = self.replicas.get_mut(at) {
            *place = Some(running);
        }
        self.until(RECOVERY, "the balancer takes the replica in", |town| {
            town.balancer.ready().get(at) == Some(&true)
        })
    }

    pub(super) fn until(
        &self,
        limit: Duration,
        what: &str,
        reached: impl Fn(&Self) -> bool,
    ) -> Result<(), Failure> {
        let from = Instant::now();
        while !reached(self) {
            if from.elapsed() > limit {
                return Err(format!("not within {} s: {what}", limit.as_secs()).into());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Notes every call whose fate is neither success nor excused.
    pub(super) fn failures(&mut self, when: &str, log: &Log, excused: impl Fn(&Fate) -> bool) -> usize {
        let bad = log
            .made
            .iter()
            .filter(|made| made.fate != Fate::Done && !excused(&made.fate));
        let mut kinds: HashMap<String, usize> = HashMap::new();
        for made in bad {
            *kinds.entry(format!("{:?}", made.fate)).or_default() += 1;
        }
        for (kind, count) in &kinds {
            self.violations.push(format!("{when}: {count} calls: {kind}"));
        }
        kinds.values().sum()
    }

    pub(super) fn each(&self, key: &str) -> Result<Vec<Target>, Failure> {
        self.ports
            .iter()
            .map(|port| ours::Server::target(*port, key))
            .collect()
    }
}
