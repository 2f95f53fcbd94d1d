//! Times as text, in the forms that Windows, Suricata and people read.
//!
//! Owns formatting only; there is no clock here. Called by `telemetry` and `view`.

use std::fmt;

use crate::record::TimeMicros;

const SECOND_US: i64 = 1_000_000;
const DAY_US: i64 = 86_400 * SECOND_US;

/// A time with one of several displays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// Microseconds since 1970-01-01T00:00:00Z.
    pub us: TimeMicros,
    /// How it is written.
    pub form: Form,
}

/// How a time is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `2026-10-03 01:02:03.456`: Sysmon's `UtcTime`.
    Sysmon,
    /// `2026-10-03T01:02:03.456Z`: `@timestamp`.
    Rfc3339,
    /// `2026-10-03T01:02:03.456789+0000`: Suricata's `timestamp`.
    Eve,
    /// `2026-10-03 01:02:03`: the local times of Windows agents.
    Seconds,
    /// `01:02:03`: what people read within one day.
    OfDay,
}

impl fmt::Display for Stamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = civil(self.us.div_euclid(DAY_US));
        let (seconds, us) = (self.us.rem_euclid(DAY_US) / SECOND_US, self.us.rem_euclid(SECOND_US));
        let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
        let separator = match self.form {
            Form::Rfc3339 | Form::Eve => 'T',
            Form::Sysmon | Form::Seconds => ' ',
            Form::OfDay => return write!(f, "{hour:02}:{minute:02}:{second:02}"),
        };
        write!(f, "{year:04}-{month:02}-{day:02}{separator}{hour:02}:{minute:02}:{second:02}")?;
        match self.form {
            Form::Sysmon => write!(f, ".{:03}", us / 1_000),
            Form::Rfc3339 => write!(f, ".{:03}Z", us / 1_000),
            Form::Eve => write!(f, ".{us:06}+0000"),
            Form::Seconds | Form::OfDay => Ok(()),
        }
    }
}

/// Year, month and day of a day counted from 1970-01-01, in the Gregorian calendar.
fn civil(days: i64) -> (i64, i64, i64) {
    // Eras of 400 years that begin on 1 March, so that the leap day is the last day of a year.
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_in_every_form() {
        for (us, form, text) in [
            (0, Form::Sysmon, "1970-01-01 00:00:00.000"),
            (-1, Form::Rfc3339, "1969-12-31T23:59:59.999Z"),
            (951_782_400_000_000, Form::Seconds, "2000-02-29 00:00:00"),
            (1_709_251_199_999_999, Form::Rfc3339, "2024-02-29T23:59:59.999Z"),
            (1_790_989_323_456_789, Form::Eve, "2026-10-03T01:02:03.456789+0000"),
            (1_790_989_323_456_789, Form::Sysmon, "2026-10-03 01:02:03.456"),
            (1_790_989_323_456_789, Form::OfDay, "01:02:03"),
            (4_102_444_800_000_000, Form::Seconds, "2100-01-01 00:00:00"),
        ] {
            assert_eq!(Stamp { us, form }.to_string(), text, "{us} as {form:?}");
        }
    }
}
