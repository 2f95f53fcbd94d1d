//! `noroshi run` against a bare rdkafka consumer of the same topic on the same cores, in one run.
//!
//! `cargo bench --bench end_to_end` starts a broker of its own, unless `NOROSHI_TEST_KAFKA=host:port` names one. With
//! `-- --soak 600` it instead feeds the process for so many seconds at full speed and reports its peak memory; with
//! `-- --recover 50` it kills one of two processes so many times and reports how long partitions stood still; with
//! `-- --transactions` it runs the same lanes with transactions and without; with `-- --one-core` it runs on one core, with the broker on another; with `-- --burst` it feeds it for a while at a steady rate, then at ten times that rate with one hot partition, then steadily
//! again.

mod bare;
mod one_core;
mod plain;
mod public_rules;
mod recover;
mod telemetry;

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

const RECORDS: usize = 1_200_000;
/// The part of the records, in percent, over which the rate of `run` is taken: when the first are read its lanes are still joining
/// their group, when the last are read one lane is done before the other.
const STEADY: std::ops::Range<usize> = 40..95;
const ROUNDS: usize = 3;
const PARTITIONS: i32 = 4;
const LANES: usize = 2;
/// Records a second of the steady rate; ten times as many, nine of ten into one partition, are more than a lane reads.
const STEADY_RATE: usize = 10_000;
const BURST_FACTOR: usize = 10;
/// Seconds of each part of a burst: before, in, and the least after it.
const BURST_SECONDS: [u64; 3] = [20, 30, 20];
/// Seconds that what the burst has left may take.
const CATCH_UP_SECONDS_MAX: u64 = 300;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.iter().any(|argument| argument == "--test") {
        return;
    }
    if let [_, flag, servers, topic] = arguments.as_slice()
        && flag == one_core::BARE
    {
        return one_core::bare(servers, topic);
    }
    let is_one_core = arguments.iter().any(|argument| argument == "--one-core");
    let broker = Broker::start(is_one_core.then_some(one_core::BROKER_CORE));
    let servers = broker.servers.clone();
    let number = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1)?.parse::<u64>().ok()
    };
    let (soak, kills) = (number("--soak"), number("--recover"));
    let id = format!("bench-{}", std::process::id());
    let folder = std::env::temp_dir().join(&id);
    std::fs::create_dir_all(&folder).expect("a folder");
    let topic = format!("{id}.in");
    let own_rules = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("rules/windows");
    let pipeline = |name: &str| write_pipeline(&folder, name, &topic, &own_rules);
    match (soak, kills) {
        (None, None) => create_input(&topic, &servers, PARTITIONS, None),
        (Some(_), _) => create_input(&topic, &servers, PARTITIONS, Some(512 << 20)),
        (None, Some(_)) => create_input(&topic, &servers, recover::partitions(), Some(128 << 20)),
    }
    create_topics(&pipeline(&format!("{id}-topics")), &servers);
    let (what, records) = telemetry::windows(60_000);
    let bytes: usize = records.iter().map(Vec::len).sum();
    let size = bytes as f64 / records.len() as f64;
    if is_one_core {
        println!("{what}, {size:.0} bytes each, {PARTITIONS} partitions, one lane");
        one_core::compared(&servers, &folder, &id, &records);
        let _ = std::fs::remove_dir_all(&folder);
        return;
    }
    println!("{what}, {size:.0} bytes each, rules/windows");
    if kills.is_none() {
        println!("{PARTITIONS} partitions, {LANES} lanes\n");
    }
    if arguments.iter().any(|argument| argument == "--burst") {
        burst(&servers, &topic, &pipeline(&format!("{id}-burst")), &records);
        let _ = std::fs::remove_dir_all(&folder);
        return;
    }
    if arguments.iter().any(|argument| argument == "--transactions") {
        let input = |lane: usize| {
            let (topic, partitions) = (format!("{topic}.{lane}"), PARTITIONS / LANES as i32);
            create_input(&topic, &servers, partitions, None);
            fill(&servers, &topic, partitions, &records, RECORDS / LANES);
            let pipeline = write_pipeline(&folder, &format!("{id}-{lane}"), &topic, &own_rules);
            create_topics(&pipeline, &servers);
            pipeline
        };
        let pipelines: Vec<PathBuf> = (0..LANES).map(input).collect();
        plain::compared(&servers, &pipelines, &id);
        let _ = std::fs::remove_dir_all(&folder);
        return;
    }
    match (soak, kills) {
        (Some(seconds), _) => {
            soaked(seconds, &servers, &topic, &pipeline(&format!("{id}-soak")), &records);
        }
        (None, Some(kills)) => {
            let name = format!("{id}-recover");
            recover::measured(kills, &servers, &topic, (&name, &pipeline(&name)), &records);
        }
        (None, None) => {
            compared(&servers, &topic, &records, size, &|round| pipeline(&format!("{id}-{round}")));
        }
    }
    let _ = std::fs::remove_dir_all(&folder);
}

/// Writes what each round reads.
fn fill(servers: &str, topic: &str, partitions: i32, records: &[Vec<u8>], count: usize) {
    fill_as(servers, topic, partitions, records, count, "lz4");
}

fn fill_as(servers: &str, topic: &str, partitions: i32, records: &[Vec<u8>], count: usize, codec: &str) {
    let producer = producer_as(servers, codec);
    for (at, record) in records.iter().cycle().take(count).enumerate() {
        send(&producer, topic, at % usize::try_from(partitions).expect("few"), record);
    }
    producer.flush(Duration::from_secs(60)).expect("flushes");
}

fn compared(servers: &str, topic: &str, records: &[Vec<u8>], size: f64, pipeline: &dyn Fn(usize) -> PathBuf) {
    fill(servers, topic, PARTITIONS, records, RECORDS);
    let (mut bare, mut ours, mut cpu, mut memory) = (Vec::new(), Vec::new(), Vec::new(), 0);
    for round in 0..ROUNDS {
        bare.push(consume(servers, topic));
        let run = Run::start(servers, &pipeline(round), "bench", Some(LANES), None);
        let (rate, cpu_s) = run.rate(RECORDS);
        ours.push(rate);
        cpu.push(cpu_s / RECORDS as f64 * 1e6);
        memory = memory.max(run.peak_kib());
    }
    let (bare, ours) = (telemetry::median(bare), telemetry::median(ours));
    println!("{:<34} {:>12} {:>8}", "", "records/s", "MB/s");
    println!("{:<34} {bare:>12.0} {:>8.0}", "bare rdkafka consumers", bare * size / 1e6);
    println!("{:<34} {ours:>12.0} {:>8.0}", "noroshi run, exactly once", ours * size / 1e6);
    println!(
        "\nratio {:.0} %, {:.1} µs of CPU a record, peak memory {} MiB",
        ours / bare * 100.0,
        telemetry::median(cpu),
        memory / 1024
    );
}

fn soaked(seconds: u64, servers: &str, topic: &str, pipeline: &Path, records: &[Vec<u8>]) {
    let run = Run::start(servers, pipeline, "bench", Some(LANES), None);
    let producer = producer(servers);
    let began = Instant::now();
    let mut sent = 0usize;
    let mut shown = 0;
    while began.elapsed() < Duration::from_secs(seconds) {
        for record in records.iter().cycle().skip(sent % records.len()).take(2_000) {
            send(&producer, topic, sent, record);
            sent += 1;
        }
        // Full speed for the process, a bounded log for the broker: stay a little ahead.
        while run.records() + 200_000 < sent as u64 {
            std::thread::sleep(Duration::from_millis(20));
        }
        let minute = began.elapsed().as_secs() / 60;
        if minute > shown {
            shown = minute;
            println!(
                "{minute:>3} min: {:>9} records, resident {} MiB, peak {} MiB",
                run.records(),
                run.resident_kib() / 1024,
                run.peak_kib() / 1024
            );
        }
    }
    println!(
        "\n{} records in {seconds} s, {:.0}/s, peak memory {} MiB",
        run.records(),
        run.records() as f64 / seconds as f64,
        run.peak_kib() / 1024
    );
}

/// Memory before, in and after a burst; the lag says whether it was one.
fn burst(servers: &str, topic: &str, pipeline: &Path, records: &[Vec<u8>]) {
    let run = Run::start(servers, pipeline, "bench", Some(LANES), None);
    let producer = producer(servers);
    let mut sent = 0usize;
    println!("{:<28} {:>12} {:>12} {:>14} {:>10}", "", "sent/s", "read/s", "resident MiB", "peak MiB");
    let rates = [STEADY_RATE, STEADY_RATE * BURST_FACTOR, STEADY_RATE];
    for ((what, rate), seconds) in
        ["before", "in the burst", "after"].into_iter().zip(rates).zip(BURST_SECONDS)
    {
        let (began, first, read, mut highest) = (Instant::now(), sent, run.records(), 0);
        let mut shown = None;
        loop {
            let elapsed = began.elapsed();
            let over = elapsed >= Duration::from_secs(seconds);
            // What the burst has left is read before the last line.
            let caught_up = what != "after" || run.records() + 2 * STEADY_RATE as u64 >= sent as u64;
            let enough = elapsed >= Duration::from_secs(CATCH_UP_SECONDS_MAX);
            if over && (caught_up || enough) {
                break;
            }
            let due = first + (elapsed.as_secs_f64() * rate as f64) as usize;
            for record in records.iter().cycle().skip(sent % records.len()).take(due - sent) {
                let hot = rate > STEADY_RATE && !sent.is_multiple_of(BURST_FACTOR);
                send(&producer, topic, if hot { 0 } else { sent / BURST_FACTOR }, record);
                sent += 1;
            }
            producer.poll(Duration::from_millis(5));
            let second = elapsed.as_secs();
            if shown != Some(second) {
                shown = Some(second);
                highest = highest.max(run.resident_kib());
            }
        }
        let took = began.elapsed().as_secs_f64();
        println!(
            "{what:<28} {:>12.0} {:>12.0} {:>14} {:>10}",
            (sent - first) as f64 / took,
            (run.records() - read) as f64 / took,
            highest / 1024,
            run.peak_kib() / 1024
        );
    }
    println!(
        "\n{sent} records sent, {} read; resident at the end {} MiB",
        run.records(),
        run.resident_kib() / 1024
    );
}

fn producer(servers: &str) -> BaseProducer {
    producer_as(servers, "lz4")
}

fn producer_as(servers: &str, codec: &str) -> BaseProducer {
    ClientConfig::new()
        .set("bootstrap.servers", servers)
        .set("linger.ms", "20")
        .set("batch.size", "1000000")
        .set("compression.type", codec)
        .create()
        .expect("a producer")
}

fn send(producer: &BaseProducer, topic: &str, at: usize, value: &[u8]) {
    let partition = i32::try_from(at % usize::try_from(PARTITIONS).expect("few")).expect("few");
    let mut record: BaseRecord<'_, (), [u8]> = BaseRecord::to(topic).partition(partition).payload(value);
    while let Err((_, back)) = producer.send(record) {
        producer.poll(Duration::from_millis(5));
        record = back;
    }
}

/// As many threads as lanes, each with its share of the partitions, counting bytes and nothing else.
fn consume(servers: &str, topic: &str) -> f64 {
    let began = Instant::now();
    std::thread::scope(|scope| {
        for lane in 0..LANES {
            scope.spawn(move || {
                let share = (0..PARTITIONS).skip(lane).step_by(LANES);
                let consumer = bare::consumer(servers, topic, share);
                let mut left = RECORDS / LANES;
                while left > 0 {
                    if let Some(Ok(message)) = consumer.poll(Duration::from_secs(10)) {
                        std::hint::black_box(message);
                        left -= 1;
                    }
                }
            });
        }
    });
    RECORDS as f64 / began.elapsed().as_secs_f64()
}

/// The broker that the environment names, or one that is started for this run.
struct Broker {
    servers: String,
    own: Option<PathBuf>,
}

impl Broker {
    /// On one core only, where one is named.
    fn start(core: Option<&str>) -> Self {
        if let Ok(servers) = std::env::var("NOROSHI_TEST_KAFKA") {
            return Self { servers, own: None };
        }
        let folder = std::env::temp_dir().join(format!("noroshi-bench-kafka-{}", std::process::id()));
        let output = Self::script("start", &folder, core);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let servers = text.lines().find_map(|line| line.strip_prefix("NOROSHI_TEST_KAFKA="));
        let servers = servers.expect("scripts/kafka start tells the broker's address").to_owned();
        Self { servers, own: Some(folder) }
    }

    fn script(what: &str, folder: &Path, core: Option<&str>) -> std::process::Output {
        on_core(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/kafka"), core)
            .args([what, "--dir"])
            .arg(folder)
            .stderr(Stdio::inherit())
            .output()
            .expect("scripts/kafka runs")
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if let Some(folder) = &self.own {
            Self::script("stop", folder, None);
            let _ = std::fs::remove_dir_all(folder);
        }
    }
}

/// A command, on one core only where one is named.
fn on_core(program: &str, core: Option<&str>) -> Command {
    let Some(core) = core else { return Command::new(program) };
    let mut command = Command::new("taskset");
    command.args(["-c", core, program]);
    command
}

/// CPU seconds of a process, by its number or `self`.
fn process_cpu_s(process: &str) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let after = stat.rsplit(')').next().unwrap_or_default();
    let ticks = after.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<u64>().ok());
    ticks.sum::<u64>() as f64 / 100.0
}

struct Run {
    child: Child,
    http: String,
}

impl Run {
    /// With so many lanes, or as many as by default; on one core, or on all.
    fn start(
        servers: &str,
        pipeline: &Path,
        instance: &str,
        lanes: Option<usize>,
        core: Option<&str>,
    ) -> Self {
        let log = pipeline.join(format!("{instance}.log"));
        let file = std::fs::File::create(&log).expect("a log");
        let mut command = on_core(env!("CARGO_BIN_EXE_noroshi"), core);
        command.args(["run", "--instance", instance, "--pipeline"]).arg(pipeline);
        command.args(["--set", &format!("kafka.bootstrap_servers={servers}")]);
        command.args(["--set", "http.listen=127.0.0.1:0"]);
        if let Some(lanes) = lanes {
            command.args(["--set", &format!("lanes.count={lanes}")]);
        }
        let child = command.env("NO_COLOR", "1").stdout(Stdio::null()).stderr(file).spawn().expect("starts");
        let http = loop {
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            if let Some(at) = text.find("address=") {
                let rest = &text[at + "address=".len()..];
                break rest.split_whitespace().next().unwrap_or_default().to_owned();
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        Self { child, http }
    }

    /// What the endpoint answers; empty while it does not.
    fn get(&self, path: &str) -> String {
        let mut answer = String::new();
        if let Ok(mut stream) = TcpStream::connect(&self.http) {
            let _ = write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
            let _ = stream.read_to_string(&mut answer);
        }
        answer
    }

    fn records(&self) -> u64 {
        let answer = self.get("/metrics");
        let lines = answer.lines().filter(|line| line.starts_with("noroshi_records_total{"));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
    }

    /// Records committed a second over the steady part, and CPU seconds for all.
    fn rate(&self, all: usize) -> (f64, f64) {
        let reached = |records: usize| loop {
            let now = self.records();
            if now >= records as u64 {
                break (Instant::now(), now);
            }
            // Each answer has a line for every rule: asked more often, it would cost what is measured.
            std::thread::sleep(Duration::from_millis(200));
        };
        let ((began, first), (ended, last)) =
            (reached(all * STEADY.start / 100), reached(all * STEADY.end / 100));
        reached(all);
        ((last - first) as f64 / (ended - began).as_secs_f64(), self.cpu_s())
    }

    fn cpu_s(&self) -> f64 {
        process_cpu_s(&self.child.id().to_string())
    }

    fn status_kib(&self, key: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find(|line| line.starts_with(key)).unwrap_or_default().to_owned();
        line.split_whitespace().nth(1).and_then(|kib| kib.parse().ok()).unwrap_or(0)
    }

    fn peak_kib(&self) -> u64 {
        self.status_kib("VmHWM")
    }

    fn resident_kib(&self) -> u64 {
        self.status_kib("VmRSS")
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg("-TERM").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

fn write_pipeline(folder: &Path, name: &str, topic: &str, rules: &Path) -> PathBuf {
    let path = folder.join(name);
    std::fs::create_dir_all(&path).expect("a folder");
    let mut text = format!("name = \"{name}\"\nrules = [{:?}]\n", rules.display().to_string());
    let _ = write!(
        text,
        "[[organisation]]\nid = \"bench\"\nname = \"Bench\"\n[[source]]\nid = \"bench\"\norganisation = \"bench\"\n\
         topics = [\"{topic}\"]\nformat = \"windows-json\"\nstart = \"earliest\"\n\
         [alerts]\ntopic = \"{topic}.alerts\"\n[rejects]\ntopic = \"{topic}.dead\"\n"
    );
    std::fs::write(path.join("pipeline.toml"), text).expect("writes");
    path
}

/// A topic that is written for minutes keeps so little, in bytes for each partition, that it fits into the broker's memory.
fn create_input(topic: &str, servers: &str, partitions: i32, keeps: Option<u32>) {
    let mut config = ClientConfig::new();
    let admin: AdminClient<DefaultClientContext> =
        config.set("bootstrap.servers", servers).create().expect("an admin client");
    let keeps = keeps.map_or("-1".to_owned(), |bytes| bytes.to_string());
    let topic = NewTopic::new(topic, partitions, TopicReplication::Fixed(1))
        .set("retention.bytes", &keeps)
        .set("segment.bytes", "67108864");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let made = runtime.block_on(admin.create_topics([&topic], &AdminOptions::new())).expect("an answer");
    assert!(made.iter().all(Result::is_ok), "{made:?}");
}

fn create_topics(pipeline: &Path, servers: &str) {
    let done = Command::new(env!("CARGO_BIN_EXE_noroshi"))
        .args(["topics", "--create", "--partitions", &PARTITIONS.to_string(), "--pipeline"])
        .arg(pipeline)
        .args(["--set", &format!("kafka.bootstrap_servers={servers}")])
        .status()
        .expect("starts");
    assert!(done.success(), "topics --create");
}
