//! A proxy between the program and the broker that harms the end of a transaction.
//!
//! Owns the frames of Kafka's protocol as far as it needs them: a length, and in requests the API's number. What is
//! not the end of a transaction passes as it is.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// `EndTxn`.
const END_TRANSACTION: i16 = 26;
/// A frame larger than this is none.
const FRAME_BYTES_MAX: usize = 64 << 20;

/// What happens to the next end of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Harm {
    /// The request never arrives, and the connection breaks.
    LoseRequest,
    /// The request arrives, its answer does not, and the connection breaks.
    LoseAnswer,
    /// The answer takes so many milliseconds.
    DelayAnswer(u64),
    /// The connection breaks at once; the request arrives so many milliseconds later (Jepsen on Kafka).
    LateRequest(u64),
}

#[derive(Default)]
struct Shared {
    next: Mutex<Option<Harm>>,
    done: Mutex<Vec<Harm>>,
    closed: AtomicBool,
}

/// There is one port for a proxy: tests take turns.
pub fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A proxy that lives as long as the value.
pub struct Proxy {
    /// Where the program connects to.
    pub address: String,
    shared: Arc<Shared>,
}

impl Proxy {
    /// Listens at `address` and passes everything on to `broker`.
    pub fn start(broker: &str, address: &str) -> Self {
        // The one before needs a moment to let go of it.
        let deadline = Instant::now() + Duration::from_secs(10);
        let listener = loop {
            match TcpListener::bind(address) {
                Ok(listener) => break listener,
                Err(error) => assert!(Instant::now() < deadline, "the proxy's port {address}: {error}"),
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        let shared = Arc::new(Shared::default());
        let (accepting, broker) = (Arc::clone(&shared), broker.to_owned());
        std::thread::spawn(move || {
            for client in listener.incoming() {
                if accepting.closed.load(Ordering::Acquire) {
                    break;
                }
                let (Ok(client), Ok(upstream)) = (client, TcpStream::connect(&broker)) else { continue };
                let _ = client.set_nodelay(true);
                let _ = upstream.set_nodelay(true);
                connect(client, upstream, &accepting);
            }
        });
        Self { address: address.to_owned(), shared }
    }

    /// Arms it for the next end of a transaction.
    pub fn arm(&self, harm: Harm) {
        *locked(&self.shared.next) = Some(harm);
    }

    /// What it has done so far.
    pub fn done(&self) -> Vec<Harm> {
        locked(&self.shared.done).clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::Release);
        let _ = TcpStream::connect(&self.address);
    }
}

/// Correlation ids of requests whose answer is to be harmed.
type Harmed = Arc<Mutex<BTreeSet<(i32, u64)>>>;

/// An answer that never comes.
const LOST: u64 = u64::MAX;

fn connect(client: TcpStream, upstream: TcpStream, shared: &Arc<Shared>) {
    let harmed = Harmed::default();
    let (from_client, to_broker) = (copy(&client), copy(&upstream));
    let (shared, noted) = (Arc::clone(shared), Arc::clone(&harmed));
    std::thread::spawn(move || requests(from_client, to_broker, &shared, &noted));
    std::thread::spawn(move || answers(upstream, client, &harmed));
}

fn requests(mut client: TcpStream, mut broker: TcpStream, shared: &Shared, harmed: &Harmed) {
    while let Some(frame) = read(&mut client) {
        let api = i16::from_be_bytes([frame[4], frame[5]]);
        let correlation = i32::from_be_bytes([frame[8], frame[9], frame[10], frame[11]]);
        let harm = if api == END_TRANSACTION { locked(&shared.next).take() } else { None };
        if let Some(harm) = harm {
            locked(&shared.done).push(harm);
        }
        match harm {
            None => {}
            Some(Harm::LoseRequest) => break,
            Some(Harm::LoseAnswer) => {
                locked(harmed).insert((correlation, LOST));
            }
            Some(Harm::DelayAnswer(millis)) => {
                locked(harmed).insert((correlation, millis));
            }
            Some(Harm::LateRequest(millis)) => {
                let _ = client.shutdown(Shutdown::Both);
                std::thread::sleep(Duration::from_millis(millis));
                let _ = broker.write_all(&frame);
                // The broker acts on what it has got before it sees that the connection is gone.
                std::thread::sleep(Duration::from_millis(500));
                break;
            }
        }
        if broker.write_all(&frame).is_err() {
            break;
        }
    }
    let _ = client.shutdown(Shutdown::Both);
    let _ = broker.shutdown(Shutdown::Both);
}

fn answers(mut broker: TcpStream, mut client: TcpStream, harmed: &Harmed) {
    while let Some(frame) = read(&mut broker) {
        let correlation = i32::from_be_bytes([frame[4], frame[5], frame[6], frame[7]]);
        let found = locked(harmed).iter().find(|(id, _)| *id == correlation).copied();
        match found {
            None => {}
            Some((_, LOST)) => break,
            Some((_, millis)) => std::thread::sleep(Duration::from_millis(millis)),
        }
        if client.write_all(&frame).is_err() {
            break;
        }
    }
    // A late request still has to go out: its side closes by itself.
    let _ = client.shutdown(Shutdown::Both);
}

/// A frame with its length.
fn read(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).ok()?;
    let bytes = usize::try_from(i32::from_be_bytes(length)).ok().filter(|bytes| *bytes <= FRAME_BYTES_MAX)?;
    // Requests have at least twelve bytes, answers at least eight; what is shorter is padded for the look at it.
    let mut frame = vec![0; 4 + bytes.max(8)];
    frame[..4].copy_from_slice(&length);
    stream.read_exact(&mut frame[4..4 + bytes]).ok()?;
    frame.truncate(4 + bytes.max(8));
    Some(frame)
}

fn copy(stream: &TcpStream) -> TcpStream {
    stream.try_clone().expect("a socket is cloned")
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no thread panicked while it held this")
}
