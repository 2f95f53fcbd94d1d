//! One round: its topics and group, its processes, what they have read, and whether all of it came out once.
//!
//! Owns the processes, as a supervisor would, and the oracle's verdict at the end; which faults befall them is the
//! sibling `strike`'s.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::{Duration, Instant};

use rdkafka::message::{Message as _, OwnedMessage};
use serde_json::Value;

use super::input::{ALERT_BYTES_MAX, Fate, Input, Place};
use super::onlooker::{Ledger, Onlooker};
use super::plan::{Kind, Plan, Way};
use super::proxy::Proxy;
use super::rules::Rules;
use crate::delivery::{ORGANISATIONS, Setup, identity};
use crate::kafka::Login;
use crate::kafka::acl::Resource;
use crate::kafka::own::OwnBroker;
use crate::process::{Running, WAIT_MAX, program, try_get, until};
use crate::refusals::header;

/// Records that come before a fault, into each partition.
pub const RECORDS_EACH: usize = 30;
/// Records that come while a fault is waited for, into each partition.
const NUDGE_EACH: usize = 3;
/// A process that ends again and again is in a loop.
const REVIVED_MAX: usize = 30;
/// What librdkafka up to 2.12 makes of joining again with the newer protocol, if the broker's answers come in another
/// order than it thinks (confluentinc/librdkafka#5488).
const REJOIN_REFUSED: &str = "failed for good: InvalidRequest";
/// What a process says when it lacks rights, while it runs or when it starts, …
pub const RIGHTS_REFUSED: [&str; 2] = ["uthorization", "no rights to"];
/// … or its password is not taken.
pub const PASSWORD_REFUSED: [&str; 3] =
    ["the broker refuses the credentials", "refuses us", "due to invalid credentials"];
/// What a process says that starts with a faulty rule.
const RULES_REFUSED: &str = "error[Q007]";
/// The variable with the password.
const PASSWORD: &str = "NOROSHI_TEST_PASSWORD";
/// Between two looks at a process or a broker.
const LOOK: Duration = Duration::from_millis(25);
/// Between two batches of records that are written until a fault has had its effect.
const NUDGE: Duration = Duration::from_millis(250);

/// A process and the name that it keeps when it is started again.
pub struct Process {
    pub instance: String,
    pub running: Running,
    /// What its earlier lives have logged.
    past: String,
}

/// One round.
pub struct Round<'b> {
    pub own: &'b OwnBroker,
    pub proxy: &'b Proxy,
    pub setup: Setup,
    /// Transactions time out soon.
    pub impatient: bool,
    pub processes: Vec<Process>,
    pub input: Input,
    /// What happened, for people.
    pub log: Vec<String>,
    began: Instant,
    ledger: Ledger,
    onlooker: Onlooker,
    topics: Vec<String>,
    /// Where alerts go, and how many partitions each topic has.
    alerts: Vec<(String, i32)>,
    /// Topics of alerts that were deleted, and what was in them: no reader sees it from beginning to end.
    deleted: BTreeSet<String>,
    kept: Vec<OwnedMessage>,
    pub rules: Rules,
    /// As whom the processes log in.
    pub login: Option<Login>,
    settings: Vec<String>,
    /// Nobody starts again what ends: what it needs is not there for now.
    pub unattended: bool,
    /// Whether rights or passwords are taken away.
    refusals: bool,
    /// Whether the rule is a faulty one for a while.
    faulty: bool,
    /// Whether a process may end because Kafka did not answer in time.
    outages: bool,
    /// Whether members leave the group because they do not poll, and have to join again.
    polls_missed: bool,
    started: usize,
    revived: usize,
}

impl<'b> Round<'b> {
    pub fn new(own: &'b OwnBroker, proxy: &'b Proxy, plan: &Plan) -> Self {
        let broker = &own.broker;
        let rules = Rules::new();
        let small = ALERT_BYTES_MAX.to_string();
        let small = [("max.message.bytes", small.as_str())];
        let setup = Setup::with(broker, rules.folder(), "earliest", &[], &small);
        let mut alerts = vec![(setup.alerts.clone(), 3)];
        if plan.has(Kind::Park) {
            let own = |org: &str| format!("{}.own.{org}", setup.id);
            let file = setup.folder.path().join("pipeline.toml");
            let text = fs::read_to_string(&file).expect("the pipeline");
            fs::write(&file, text.replace(&setup.alerts, &own("{org_id}"))).expect("writes the pipeline");
            alerts = ORGANISATIONS.iter().map(|org| (own(org), 2)).collect();
            alerts
                .iter()
                .for_each(|(topic, partitions)| broker.create_topic_with(topic, *partitions, &small));
        }
        let login = (plan.way != Way::Plain).then(|| broker.limited.clone().expect("it has one"));
        let mut settings = plan.settings();
        if let Some(Login { user, .. }) = &login {
            let (prefix, group) = (format!("{}.", setup.id), format!("noroshi-{}", setup.id));
            let ids = format!("{group}-");
            for mine in [Resource::Topics(&prefix), Resource::Group(&group), Resource::TransactionalIds(&ids)]
            {
                broker.allow(user, mine);
            }
            let protocol = if plan.way == Way::Tls { "sasl_ssl" } else { "sasl_plaintext" };
            settings.push(format!("kafka.security_protocol={protocol}"));
            if plan.way == Way::Tls {
                let authority = broker.certificate("ca.pem").expect("it has one");
                settings.push(format!("kafka.tls.ca_file={authority}"));
            }
            settings.push("kafka.sasl.mechanism=SCRAM-SHA-512".to_owned());
            settings.push(format!("kafka.sasl.username={user}"));
            settings.push(format!("kafka.sasl.password.env={PASSWORD}"));
        }
        let watched: Vec<(&str, i32)> =
            alerts.iter().map(|(topic, count)| (topic.as_str(), *count)).collect();
        let watched = [&watched[..], &[(&setup.rejects, 1)]].concat();
        let onlooker = Onlooker::start(broker, &watched);
        let topics: Vec<String> = ORGANISATIONS.iter().map(|org| setup.topic(org)).collect();
        let input = Input::new(plan.transactional.then(|| format!("{}.input", setup.id)));
        Self {
            own,
            proxy,
            processes: Vec::new(),
            input,
            log: vec![plan.to_string()],
            began: Instant::now(),
            ledger: Ledger::new(broker, &format!("noroshi-{}", setup.id), &topics),
            onlooker,
            topics,
            alerts,
            deleted: BTreeSet::new(),
            kept: Vec::new(),
            rules,
            login,
            settings,
            unattended: false,
            refusals: plan.has(Kind::Forbid) || plan.has(Kind::ChangePassword),
            faulty: plan.has(Kind::BadReload),
            outages: plan.has(Kind::KillBroker) || plan.is_impatient(),
            impatient: plan.is_impatient(),
            polls_missed: plan.has(Kind::MissPolls),
            started: 0,
            revived: 0,
            setup,
        }
    }

    pub fn note(&mut self, what: impl std::fmt::Display) {
        self.log.push(format!("{:.1} s: {what}", self.began.elapsed().as_secs_f64()));
    }

    fn spawn(&mut self, instance: &str, crash: Option<&str>) -> Running {
        let password = self.login.as_ref().map(|login| login.password.clone());
        self.spawn_with(instance, crash, password.as_deref())
    }

    /// The same with another password than the right one.
    pub fn spawn_with(&mut self, instance: &str, crash: Option<&str>, password: Option<&str>) -> Running {
        self.started += 1;
        let folder = self.setup.folder.path();
        let mut command = program();
        command.args(["run", "--instance", instance, "--pipeline"]).arg(folder);
        let own = [
            format!("kafka.bootstrap_servers={}", self.proxy.address),
            format!("kafka.client_id={instance}"),
            format!("lanes.count={}", 1 + self.started % 2),
        ];
        for setting in own.iter().chain(&self.settings) {
            command.args(["--set", setting]);
        }
        if let Some(password) = password {
            command.env(PASSWORD, password);
        }
        if let Some(place) = crash {
            command.env("NOROSHI_TEST_CRASH", place);
        }
        Running::spawn(folder, &mut command)
    }

    /// One more process; returns where it stands.
    pub fn start(&mut self) -> usize {
        let instance = format!("p{}", self.started);
        let running = self.spawn(&instance, None);
        self.processes.push(Process { instance, running, past: String::new() });
        self.processes.len() - 1
    }

    /// The same process again, in its place.
    pub fn restart(&mut self, at: usize, crash: Option<&str>) {
        let instance = self.processes[at].instance.clone();
        let next = self.spawn(&instance, crash);
        let process = &mut self.processes[at];
        process.past += &process.running.log();
        process.running = next;
    }

    /// SIGKILL, unless it is dead already.
    pub fn put_down(&mut self, at: usize) {
        let running = &mut self.processes[at].running;
        if running.runs() {
            running.signal("KILL");
        }
        running.wait();
    }

    /// Starts those again that have ended, as a supervisor would, but not the one at `but`.
    pub fn revive(&mut self, but: Option<usize>) {
        if self.unattended {
            return;
        }
        for at in (0..self.processes.len()).filter(|at| Some(*at) != but) {
            if self.processes[at].running.runs() {
                continue;
            }
            let code = self.processes[at].running.wait().code();
            self.revived += 1;
            self.note(format!("{} ended with {code:?}", self.processes[at].instance));
            let log = self.processes[at].running.log();
            assert!(self.may_end(code, &log), "{}: this must not end by itself\n{log}", self.story());
            assert!(self.revived < REVIVED_MAX, "{}: an endless loop\n{}", self.story(), self.logs());
            self.restart(at, None);
        }
    }

    /// Whether a process may end so by itself; a supervisor starts it again.
    fn may_end(&self, code: Option<i32>, log: &str) -> bool {
        match code {
            // Fenced: it stood still, or a request of its predecessor came late.
            Some(4) => true,
            Some(3) => {
                let said = RIGHTS_REFUSED.iter().chain(&PASSWORD_REFUSED);
                let refused = said.into_iter().any(|said| log.contains(said));
                self.outages
                    || (self.polls_missed && log.contains(REJOIN_REFUSED))
                    || (self.refusals && refused)
            }
            Some(2) => self.faulty && log.contains(RULES_REFUSED),
            _ => false,
        }
    }

    pub fn produce(&mut self, each: usize) {
        self.input.write(&self.own.broker, &self.topics, each);
    }

    /// Records that are not committed yet; `None` while the broker does not say.
    pub fn behind(&self) -> Option<i64> {
        self.behind_of(|_| true)
    }

    /// Whether a process holds partitions, by its own word.
    pub fn holds(&mut self, at: usize) -> bool {
        self.status(at).is_some_and(|status| status.to_string().contains("\"partition\":"))
    }

    /// What a process says of itself; `None` when it says nothing.
    pub fn status(&mut self, at: usize) -> Option<Value> {
        let log = self.processes[at].running.log();
        let address = log.split_once("address=").and_then(|(_, rest)| rest.split([' ', '\n']).next())?;
        serde_json::from_str(&try_get(address, "/status")?.1).ok()
    }

    /// Names of the topics that get something from the processes.
    pub fn outputs(&self) -> Vec<String> {
        let alerts = self.alerts.iter().map(|(topic, _)| topic.clone());
        alerts.chain([self.setup.rejects.clone()]).collect()
    }

    /// Remembers the alerts of a topic that is about to be deleted.
    pub fn keep(&mut self, which: usize) {
        let topic = &self.alerts[which].0;
        self.kept.extend(self.own.broker.committed_now(topic));
        self.deleted.insert(topic.clone());
    }

    /// Makes it anew.
    pub fn make(&self, which: usize) {
        let (topic, partitions) = &self.alerts[which];
        let most = ALERT_BYTES_MAX.to_string();
        self.own.broker.create_topic_with(topic, *partitions, &[("max.message.bytes", &most)]);
    }

    /// Records of these topics that are not committed yet.
    pub fn behind_of(&self, of: impl Fn(&str) -> bool) -> Option<i64> {
        let committed = self.ledger.committed()?;
        let ends = self.input.ends.iter().filter(|((topic, _), _)| of(topic));
        Some(ends.map(|(place, end)| (end - committed.get(place).unwrap_or(&0)).max(0)).sum())
    }

    /// How often a process has logged this, in all its lives.
    pub fn logged(&self, at: usize, what: &str) -> usize {
        let Process { running, past, .. } = &self.processes[at];
        running.log().matches(what).count() + past.matches(what).count()
    }

    /// Waits until something holds; processes that end meanwhile are started again, but not the one at `but`.
    pub fn until(&mut self, what: &str, but: Option<usize>, mut holds: impl FnMut(&mut Self) -> bool) {
        let deadline = Instant::now() + WAIT_MAX;
        while !holds(self) {
            self.revive(but);
            assert!(
                Instant::now() < deadline,
                "{}: waited {WAIT_MAX:?} until {what}; {:?} records behind\n{}",
                self.story(),
                self.behind(),
                self.logs()
            );
            std::thread::sleep(LOOK);
        }
    }

    /// The same, writing records all the time: only work brings it about.
    pub fn work_until(&mut self, what: &str, but: Option<usize>, mut holds: impl FnMut(&mut Self) -> bool) {
        let mut nudged: Option<Instant> = None;
        self.until(what, but, |round| {
            if holds(round) {
                return true;
            }
            if nudged.is_none_or(|at| at.elapsed() >= NUDGE) {
                nudged = Some(Instant::now());
                round.produce(NUDGE_EACH);
            }
            false
        });
    }

    /// Waits until everything is committed.
    pub fn finish(&mut self) {
        self.until("all is committed", None, |round| round.behind() == Some(0));
    }

    /// What happened, and how to see it again.
    pub fn story(&self) -> String {
        self.log.join("; ")
    }

    fn logs(&self) -> String {
        let logs = self.processes.iter().map(|process| process.running.log());
        logs.map(|log| log.lines().rev().take(15).collect::<Vec<_>>().join("\n"))
            .collect::<Vec<_>>()
            .join("\n---\n")
    }

    /// Everything once: alerts, rejects, offsets; nothing open; all readers agree.
    pub fn check(&mut self) {
        let what = self.story();
        let broker = &self.own.broker;
        for topic in self.topics.iter().chain(&self.outputs()) {
            let open = || (!broker.is_transaction_open(topic)).then_some(());
            until(&format!("{what}: no transaction to be open in {topic}"), open, || self.logs());
        }
        let of = |fate: Fate| -> BTreeSet<Place> {
            let expected = self.input.expected.iter();
            expected.filter(|(_, is)| **is == fate).map(|(place, _)| place.clone()).collect()
        };
        let expected = of(Fate::Alert);
        let now = self.alerts.iter().flat_map(|(topic, _)| broker.committed_now(topic));
        let alerts: Vec<OwnedMessage> = self.kept.iter().cloned().chain(now).collect();
        let (mut places, mut ids) = (BTreeSet::new(), BTreeSet::new());
        let mut versions: BTreeMap<String, usize> = BTreeMap::new();
        for alert in &alerts {
            *versions.entry(version(alert)).or_default() += 1;
            let ((_, topic, partition, offset, _), id) = identity(alert);
            let twice = format!("{what}: {topic}/{partition}/{offset} alerts twice");
            assert!(places.insert((topic, partition, offset)), "{twice}");
            assert!(ids.insert(id), "{twice}");
        }
        assert_same(&format!("{what}: alerts"), &expected, &places);
        let texts: BTreeSet<&String> = self.rules.versions.iter().collect();
        assert_eq!(versions.keys().collect::<BTreeSet<_>>(), texts, "{what}: versions of the rule");
        let rejects = broker.committed_now(&self.setup.rejects);
        let rejected: BTreeSet<Place> = rejects.iter().map(reject_place).collect();
        assert_eq!(rejects.len(), rejected.len(), "{what}: a record is rejected twice");
        for (fate, refused) in [(Fate::Reject, false), (Fate::Refuse, true)] {
            let meant = |reject: &&OwnedMessage| {
                (header(reject, "noroshi-reject-code").as_deref() == Some("sink_refused")) == refused
            };
            let rejected = rejects.iter().filter(meant).map(reject_place).collect();
            assert_same(&format!("{what}: {fate:?}"), &of(fate), &rejected);
        }

        let mut everything: Vec<OwnedMessage> = alerts.into_iter().chain(rejects).collect();
        everything.retain(|message| !self.deleted.contains(message.topic()));
        self.onlooker.agrees(&what, &self.deleted, &everything);

        let committed = self.ledger.committed().expect("the broker tells the group's offsets");
        for topic in &self.topics {
            for (partition, last) in (0..).zip(broker.end_offsets(topic)) {
                let place = (topic.clone(), partition);
                let end = self.input.ends.get(&place).copied().unwrap_or(0);
                let stands = committed.get(&place).copied().unwrap_or(0);
                // Behind the last record there may be markers of transactions, and records that were aborted.
                let least = if self.input.aborted > 0 { end } else { last };
                assert!(
                    (least..=last).contains(&stands),
                    "{what}: the group stands at {stands} of {place:?}; its records end at {end}, its log at {last}"
                );
            }
        }
    }

    /// Stops all processes, each in order.
    pub fn stop(mut self) -> String {
        let story = self.story();
        for process in &mut self.processes {
            if process.running.runs() {
                process.running.signal("TERM");
            }
        }
        for mut process in std::mem::take(&mut self.processes) {
            let code = process.running.wait().code();
            let text = process.past + &process.running.log();
            let may = code == Some(0) || self.may_end(code, &text);
            assert!(may, "{story}: {} ended with {code:?}\n{text}", process.instance);
            if std::env::var_os("NOROSHI_FAULT_LOGS").is_some() {
                eprintln!("--- {}\n{text}", process.instance);
            }
        }
        story
    }
}

/// The rule's version that made an alert.
fn version(alert: &OwnedMessage) -> String {
    let value: Value = serde_json::from_slice(alert.payload().expect("a value")).expect("JSON");
    value["finding_info"]["analytic"]["version"].as_str().expect("a version").to_owned()
}

/// Where a rejected record was.
fn reject_place(message: &OwnedMessage) -> Place {
    let text = |key: &str| header(message, &format!("__connect.errors.{key}"));
    let number = |key: &str| text(key).and_then(|text| text.parse::<i64>().ok()).expect("a number");
    (text("topic").expect("a topic"), number("partition"), number("offset"))
}

fn assert_same(what: &str, expected: &BTreeSet<Place>, found: &BTreeSet<Place>) {
    let missing: Vec<_> = expected.difference(found).take(5).collect();
    let extra: Vec<_> = found.difference(expected).take(5).collect();
    assert!(missing.is_empty() && extra.is_empty(), "{what}: missing {missing:?}, not expected {extra:?}");
}
