//! How times are written in syslog: where they end, not what they mean.
//!
//! Owns the shapes: RFC 3164's with a year before, within or behind, fractions, zones that are known; and ISO 8601's, with
//! slashes and blanks, too. Called by the other parts of `syslog`.

const MONTHS: [&[u8; 3]; 12] =
    [b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec"];

/// Zones that are written as words. Others are not taken for one: they may be the name of a host.
const ZONES: [&str; 44] = [
    "UTC", "GMT", "Z", "EST", "EDT", "CST", "CDT", "MST", "MDT", "PST", "PDT", "AKST", "AKDT", "HST", "AEST",
    "AEDT", "ACST", "ACDT", "AWST", "NZST", "NZDT", "JST", "KST", "SGT", "HKT", "IST", "PKT", "WIB", "ICT",
    "GST", "MSK", "TRT", "EET", "EEST", "CET", "CEST", "WET", "WEST", "BST", "SAST", "EAT", "WAT", "BRT",
    "ART",
];

/// The time that a text begins with, in any of the shapes, and what follows; a blank, a colon (of a Cisco device) or nothing
/// stands behind it.
pub fn split(text: &str) -> Option<(&str, &str)> {
    let end = match text.bytes().next()? {
        first if first.is_ascii_digit() => iso(text).or_else(|| bsd(text))?,
        first if first.is_ascii_alphabetic() => bsd(text)?,
        _ => return None,
    };
    let (time, rest) = text.split_at_checked(end + tail(text.get(end..)?))?;
    ends(rest).then_some((time, rest))
}

/// Whether a text goes on as behind a time: not within an address of IPv6.
fn ends(rest: &str) -> bool {
    let rest = rest.strip_prefix(':').unwrap_or(rest);
    rest.is_empty() || rest.starts_with([' ', '%'])
}

/// Where a time as ISO 8601 writes it ends: date, `T` or a blank or a colon, time, fraction, zone.
pub fn iso(text: &str) -> Option<usize> {
    let mut scan = Scan { bytes: text.as_bytes(), at: 0 };
    scan.number(4, 4, 0, 9999)?;
    let between = scan.one_of(b"-/")?;
    scan.number(2, 2, 1, 12)?;
    scan.one_of(&[between])?;
    scan.number(2, 2, 1, 31)?;
    scan.one_of(b"Tt :")?;
    scan.clock()?;
    scan.offset();
    Some(scan.at)
}

/// Whether a text is seconds since 1970, with fraction or without.
pub fn is_epoch(text: &str) -> bool {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str, most: usize| {
        (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    digits(seconds, 10) && seconds.len() >= 9 && digits(fraction, 9)
}

/// Where a time as RFC 3164 writes it ends: month, day, time; a year before the month or the time; a fraction.
fn bsd(text: &str) -> Option<usize> {
    let mut scan = Scan { bytes: text.as_bytes(), at: 0 };
    if scan.year() {
        scan.blanks()?;
    }
    let month = scan.bytes.get(scan.at..scan.at + 3)?;
    if !MONTHS.iter().any(|name| month.eq_ignore_ascii_case(*name)) {
        return None;
    }
    scan.at += 3;
    scan.blanks()?;
    scan.number(1, 2, 1, 31)?;
    scan.blanks()?;
    if scan.year() {
        scan.blanks()?;
    }
    scan.clock()?;
    scan.offset();
    Some(scan.at)
}

/// How long zone and year behind a time are, in either order, each after a blank.
fn tail(text: &str) -> usize {
    let (mut zone, mut year) = (false, false);
    let mut rest = text;
    while let Some(word) = rest.strip_prefix(' ') {
        let mut scan = Scan { bytes: word.as_bytes(), at: 0 };
        if !year && scan.year() && word.get(scan.at..).is_some_and(ends) {
            year = true;
        } else if !zone {
            scan.at = word.bytes().take(6).take_while(u8::is_ascii_uppercase).count();
            if !word.get(..scan.at).is_some_and(|word| ZONES.contains(&word)) {
                scan.at = 0;
                scan.offset();
            }
            zone = true;
        } else {
            break;
        }
        match word.get(scan.at..) {
            Some(after) if scan.at > 0 && ends(after) => rest = after,
            _ => break,
        }
    }
    text.len() - rest.len()
}

struct Scan<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Scan<'_> {
    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn one_of(&mut self, bytes: &[u8]) -> Option<u8> {
        let byte = self.peek().filter(|byte| bytes.contains(byte))?;
        self.at += 1;
        Some(byte)
    }

    /// A number of so many digits and so large; no digit may follow.
    fn number(&mut self, fewest: usize, most: usize, least: u64, greatest: u64) -> Option<u64> {
        let start = self.at;
        let mut number = 0;
        while let Some(digit) = self.peek().filter(u8::is_ascii_digit)
            && self.at - start <= most
        {
            number = number * 10 + u64::from(digit - b'0');
            self.at += 1;
        }
        let fits = (fewest..=most).contains(&(self.at - start)) && (least..=greatest).contains(&number);
        fits.then_some(number)
    }

    fn blanks(&mut self) -> Option<()> {
        self.one_of(b" ")?;
        while self.one_of(b" ").is_some() {}
        Some(())
    }

    /// A year of our time; where there is none, nothing is passed.
    fn year(&mut self) -> bool {
        let start = self.at;
        let is_year = self.number(4, 4, 1970, 2199).is_some();
        if !is_year {
            self.at = start;
        }
        is_year
    }

    /// `hh:mm:ss`, with a fraction or without.
    fn clock(&mut self) -> Option<()> {
        self.number(1, 2, 0, 24)?;
        self.one_of(b":")?;
        self.number(2, 2, 0, 59)?;
        self.one_of(b":")?;
        self.number(2, 2, 0, 60)?;
        let start = self.at;
        if self.one_of(b".,").is_some() && self.number(1, 9, 0, 999_999_999).is_none() {
            self.at = start;
        }
        Some(())
    }

    /// `Z`, `+hh:mm`, `+hhmm` or `+hh`; where there is none, nothing is passed.
    fn offset(&mut self) {
        let start = self.at;
        if self.one_of(b"Zz").is_some() {
            return;
        }
        let number = self.one_of(b"+-").and_then(|_| self.number(2, 4, 0, 2359));
        let digits = self.at - start;
        let colon = self.at;
        if number.is_some()
            && digits == 3
            && self.one_of(b":").is_some()
            && self.number(2, 2, 0, 59).is_none()
        {
            self.at = colon;
        }
        if number.is_none() || digits == 4 {
            self.at = start;
        }
    }
}
