//! Event times as producers write them → microseconds UTC.
//!
//! Owns the parser for the ISO 8601 family with all its dialects (space for `T`, zone without a colon, no
//! zone, two to nine fraction digits, comma for point) and for epoch numbers. A total function without
//! allocations: it runs once an event. Which field holds the time is the format's to say. Called by
//! `normalise::layout`. The way back, [`iso`], is for what people read.

use crate::decode::{Value, unescaped};
use crate::record::TimeMicros;

/// Times before 1970 and after the year 9999 are no event times.
const MICROS_MAX: i64 = 253_402_300_799_999_999;

/// A time zone without rules: minutes east of UTC, used for times that name none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ZoneOffset {
    /// Minutes east of UTC.
    pub minutes: i32,
}

impl ZoneOffset {
    /// UTC.
    pub const UTC: Self = Self { minutes: 0 };

    /// Reads `UTC`, `Z`, `+09:00`, `-0500`.
    pub fn parse(text: &str) -> Option<Self> {
        if text.eq_ignore_ascii_case("utc") || text.eq_ignore_ascii_case("z") {
            return Some(Self::UTC);
        }
        let mut cursor = Cursor { bytes: text.as_bytes(), at: 0 };
        let zone = cursor.zone()?;
        cursor.end().then_some(zone)
    }
}

/// RFC 3339 in UTC, as people read it; none for a time beyond what a calendar has.
pub fn iso(time: TimeMicros) -> Option<String> {
    let time = arrow::temporal_conversions::timestamp_us_to_datetime(time)?;
    Some(format!("{time:?}Z"))
}

/// The time in a field's value; `None` when it holds none.
pub fn parse(value: &Value<'_>, zone: ZoneOffset) -> Option<TimeMicros> {
    match value {
        Value::Text(text) => parse_text(text, zone),
        Value::Escaped(raw) => parse_text(&unescaped(raw), zone),
        Value::Int(number) => epoch(*number),
        Value::Double(seconds) if seconds.is_finite() && seconds.abs() < 1e17 => {
            // Fluent Bit and Zeek: seconds with a fraction. Larger numbers are already milliseconds.
            #[expect(clippy::cast_possible_truncation, reason = "bounded by the guard above")]
            if *seconds < 1e11 { in_range((seconds * 1e6).round() as i64) } else { epoch(*seconds as i64) }
        }
        _ => None,
    }
}

/// A number since 1970 in the unit that gives a plausible year: seconds, milli-, micro- or nanoseconds.
fn epoch(number: i64) -> Option<TimeMicros> {
    let micros = match number {
        0..100_000_000_000 => number.checked_mul(1_000_000)?,
        100_000_000_000..100_000_000_000_000 => number.checked_mul(1_000)?,
        100_000_000_000_000..100_000_000_000_000_000 => number,
        _ => number / 1_000,
    };
    in_range(micros)
}

/// Reads the text of a time.
pub fn parse_text(text: &str, zone: ZoneOffset) -> Option<TimeMicros> {
    let text = text.trim();
    if text.len() > 64 {
        return None;
    }
    let mut cursor = Cursor { bytes: text.as_bytes(), at: 0 };
    let Some((year, month, day)) = cursor.date() else {
        // Digits and at most one point: an epoch in text.
        let plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        if !plain {
            return None;
        }
        return match text.parse::<i64>() {
            Ok(number) => epoch(number),
            Err(_) => parse(&Value::Double(text.parse().ok()?), zone),
        };
    };
    if !cursor.eat(|b| matches!(b, b'T' | b't' | b' ')) {
        return None;
    }
    let hour = cursor.digits(2)?;
    if !cursor.eat(|b| b == b':') {
        return None;
    }
    let minute = cursor.digits(2)?;
    let mut second = 0;
    let mut fraction = 0;
    if cursor.eat(|b| b == b':') {
        second = cursor.digits(2)?;
        if cursor.eat(|b| matches!(b, b'.' | b',')) {
            fraction = cursor.fraction()?;
        }
    }
    cursor.eat(|b| b == b' ');
    let zone = if cursor.end() { zone } else { cursor.zone()? };
    // A leap second counts as the last second of its minute.
    let fits = (1..=12).contains(&month)
        && (1..=days_in(year, month)).contains(&day)
        && hour <= 23
        && minute <= 59
        && second <= 60;
    if !cursor.end() || !fits {
        return None;
    }
    let days = days_from_civil(year, month, day);
    let seconds = days * 86_400 + hour * 3_600 + minute * 60 + second.min(59);
    in_range((seconds - i64::from(zone.minutes) * 60) * 1_000_000 + fraction)
}

fn in_range(micros: i64) -> Option<TimeMicros> {
    (0..=MICROS_MAX).contains(&micros).then_some(micros)
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Cursor<'_> {
    fn end(&self) -> bool {
        self.at >= self.bytes.len()
    }

    fn eat(&mut self, wanted: impl Fn(u8) -> bool) -> bool {
        let hit = self.bytes.get(self.at).is_some_and(|byte| wanted(*byte));
        self.at += usize::from(hit);
        hit
    }

    fn digits(&mut self, count: usize) -> Option<i64> {
        let mut number = 0;
        for byte in self.bytes.get(self.at..self.at + count)? {
            if !byte.is_ascii_digit() {
                return None;
            }
            number = number * 10 + i64::from(byte - b'0');
        }
        self.at += count;
        Some(number)
    }

    /// `YYYY-MM-DD` or `YYYY/MM/DD`.
    fn date(&mut self) -> Option<(i64, i64, i64)> {
        let year = self.digits(4)?;
        if !self.eat(|b| matches!(b, b'-' | b'/')) {
            return None;
        }
        let month = self.digits(2)?;
        if !self.eat(|b| matches!(b, b'-' | b'/')) {
            return None;
        }
        Some((year, month, self.digits(2)?))
    }

    /// Fraction digits as microseconds; further digits are read over.
    fn fraction(&mut self) -> Option<i64> {
        let mut micros = 0;
        let mut unit = 100_000;
        let from = self.at;
        while let Some(byte) = self.bytes.get(self.at).filter(|byte| byte.is_ascii_digit()) {
            micros += i64::from(byte - b'0') * unit;
            unit /= 10;
            self.at += 1;
        }
        (self.at > from).then_some(micros)
    }

    /// `Z`, `+HH`, `+HHMM`, `+HH:MM`, `UTC`.
    fn zone(&mut self) -> Option<ZoneOffset> {
        if self.eat(|b| matches!(b, b'Z' | b'z')) {
            return Some(ZoneOffset::UTC);
        }
        if self.bytes.get(self.at..).is_some_and(|rest| rest.eq_ignore_ascii_case(b"utc")) {
            self.at += 3;
            return Some(ZoneOffset::UTC);
        }
        let sign = if self.eat(|b| b == b'+') {
            1
        } else if self.eat(|b| b == b'-') {
            -1
        } else {
            return None;
        };
        let hours = self.digits(2)?;
        self.eat(|b| b == b':');
        let minutes = if self.end() { 0 } else { self.digits(2)? };
        let total = i32::try_from(hours * 60 + minutes).ok()?;
        (hours <= 18 && minutes <= 59).then_some(ZoneOffset { minutes: sign * total })
    }
}

fn days_in(year: i64, month: i64) -> i64 {
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 in the proleptic Gregorian calendar.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year - era * 400;
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    const JST: ZoneOffset = ZoneOffset { minutes: 540 };

    #[test]
    fn times_as_shippers_write_them() {
        // 2026-10-03T01:02:03Z
        const BASE: i64 = 1_790_989_323_000_000;
        for (text, expect) in [
            ("2026-10-03T01:02:03Z", BASE),
            ("2026-10-03T01:02:03.456789Z", BASE + 456_789),
            ("2026-10-03T01:02:03.456789+0000", BASE + 456_789),
            ("2026-10-03T10:02:03.456+09:00", BASE + 456_000),
            ("2026-10-03T10:02:03+09", BASE),
            ("2026-10-02T20:02:03-0500", BASE),
            ("2026-10-03 01:02:03.4567891 UTC", BASE + 456_789),
            ("2026/10/03 01:02:03,5Z", BASE + 500_000),
            ("2026-10-03 10:02:03", BASE),
            ("  2026-10-03 10:02 ", BASE - 3_000_000),
            ("1790989323", BASE),
            ("1790989323.25", BASE + 250_000),
            ("1790989323456", BASE + 456_000),
            ("2016-12-31T23:59:60Z", 1_483_228_799_000_000),
            ("1970-01-01T00:00:00Z", 0),
            ("2024-02-29T00:00:00Z", 1_709_164_800_000_000),
        ] {
            assert_eq!(parse_text(text, JST), Some(expect), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in [
            "",
            "-",
            "now",
            "2026-13-01T00:00:00Z",
            "2026-02-29T00:00:00Z",
            "2026-10-03T24:00:00Z",
            "2026-10-03T01:02:03.Z",
            "2026-10-03T01:02:03Zx",
            "2026-10-03",
            "1969-12-31T23:59:59Z",
            "99999999999999999999999",
            "1.2.3",
            "２０２６-10-03T01:02:03Z",
            "2026-10-03T01:02:03+99:00",
        ] {
            assert_eq!(parse_text(text, ZoneOffset::UTC), None, "{text:?}");
        }
        for value in [
            Value::Double(f64::NAN),
            Value::Double(1e300),
            Value::Double(-1.0),
            Value::Bool(true),
            Value::Null,
        ] {
            assert_eq!(parse(&value, ZoneOffset::UTC), None, "{value:?}");
        }
        for number in [i64::MIN, -1, i64::MAX] {
            let _ = parse(&Value::Int(number), ZoneOffset::UTC);
        }
    }

    #[test]
    fn numbers_are_taken_in_the_unit_that_fits() {
        for value in [
            Value::Int(1_790_989_323),
            Value::Int(1_790_989_323_000),
            Value::Int(1_790_989_323_000_000),
            Value::Int(1_790_989_323_000_000_000),
            Value::Double(1_790_989_323.0),
            Value::Double(1_790_989_323_000.0),
        ] {
            assert_eq!(parse(&value, ZoneOffset::UTC), Some(1_790_989_323_000_000), "{value:?}");
        }
    }

    #[test]
    fn zones() {
        for (text, expect) in
            [("UTC", Some(0)), ("+09:00", Some(540)), ("-0330", Some(-210)), ("JST", None), ("+25:00", None)]
        {
            assert_eq!(ZoneOffset::parse(text).map(|zone| zone.minutes), expect, "{text}");
        }
    }
}
