//! Faults in operation, on a real broker, in an order that a seed decides: through all of them each record is
//! processed or rejected once, and each alert is there once (I-1, I-2, I-3).
//!
//! `NOROSHI_FAULT_ROUNDS=200` plays more rounds than those of every test run; `NOROSHI_FAULT_SEED=17
//! NOROSHI_FAULT_ROUNDS=1` plays one again, and `NOROSHI_FAULT_LOGS=1` shows what its processes said
//! (docs/guarantees.md has the whole command). The broker is the loop's own, as it dies as well.

mod input;
mod onlooker;
mod plan;
pub mod proxy;
mod refuse;
mod round;
mod rules;
mod strike;

use std::collections::BTreeMap;
use std::time::Instant;

use self::plan::{Kind, Plan, Random, SESSION_MS, Way};
use self::proxy::Proxy;
use self::round::{RECORDS_EACH, Round};
use self::strike::strike;
use super::kafka::broker;
use super::kafka::own::OwnBroker;

/// Rounds of every test run: enough for each kind of fault.
const ROUNDS: u64 = 20;
/// Records of each partition that come when all is over.
const FRESH_EACH: usize = 2;

/// Faults that had their effect, and what else the rounds have shown.
#[derive(Debug, Default)]
struct Shown {
    faults: BTreeMap<Kind, u64>,
    /// Records of aborted transactions in the input.
    aborted: usize,
    records: usize,
}

fn play(own: &OwnBroker, proxy: &Proxy, plan: &Plan, mut random: Random, shown: &mut Shown) -> String {
    let mut round = Round::new(own, proxy, plan);
    for _ in 0..plan.processes {
        round.start();
    }
    for kind in &plan.faults {
        if random.next(2) == 0 {
            round.produce(RECORDS_EACH);
        }
        strike(&mut round, *kind, &mut random);
        proxy.release();
        *shown.faults.entry(*kind).or_default() += 1;
    }
    round.note("the last fault is over");
    round.finish();
    round.note("a fresh record");
    round.produce(FRESH_EACH);
    round.finish();
    round.check();
    shown.aborted += round.input.aborted;
    shown.records += round.input.expected.len();
    round.note("checked");
    round.stop()
}

#[test]
fn faults_in_any_order_lose_and_double_nothing() {
    if broker().is_none() {
        return;
    }
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let first = number("NOROSHI_FAULT_SEED").unwrap_or(1);
    let rounds = number("NOROSHI_FAULT_ROUNDS").unwrap_or(ROUNDS);
    let session = SESSION_MS.to_string();
    let own = OwnBroker::with(&[
        ("group.min.session.timeout.ms", &session),
        ("group.consumer.min.session.timeout.ms", &session),
        ("group.consumer.session.timeout.ms", &session),
    ]);
    let of = |listener: &Option<(String, String)>, reads: bool| {
        let (behind, address) = listener.as_ref().expect("a broker of our own has a listener for it");
        if reads { Proxy::start(behind, address) } else { Proxy::blind(behind, address) }
    };
    let _turn = proxy::turn();
    let proxies = [Way::Plain, Way::Scram, Way::Tls].map(|way| match way {
        Way::Plain => (way, of(&own.broker.proxy, true)),
        Way::Scram => (way, of(&own.broker.proxy_scram, true)),
        Way::Tls => (way, of(&own.broker.proxy_tls, false)),
    });
    let mut shown = Shown::default();
    let began = Instant::now();
    for seed in first..first + rounds {
        let began = Instant::now();
        let (plan, random) = Plan::of(seed);
        eprintln!("{plan}");
        let proxy = proxies.iter().find(|(way, _)| *way == plan.way).map(|(_, proxy)| proxy);
        let story = play(&own, proxy.expect("one for each way"), &plan, random, &mut shown);
        eprintln!("    {:.1} s: {story}", began.elapsed().as_secs_f64());
    }
    eprintln!("{rounds} rounds in {:.0} s: {shown:?}", began.elapsed().as_secs_f64());
    // A run that is long enough has shown everything.
    if rounds >= ROUNDS {
        assert_eq!(shown.faults.len(), Kind::ALL.len(), "{shown:?}");
        assert!(shown.aborted > 0, "{shown:?}");
    }
}
