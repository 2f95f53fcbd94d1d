//! Modifiers: what stands behind the field's name, and what of it goes together.
//!
//! Owns the names, the order and the combinations of Sigma 2.1. What a value becomes by them is `ask`'s. Called by
//! `parse::detection`.

use super::fault::{Fault, suggest};
use super::tree::{Comparison, Place, TimePart};
use crate::diagnostic::codes;

/// All modifiers of a field, in a form that can be carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Chain {
    /// All values must match.
    pub(super) all: bool,
    /// The whole is negated.
    pub(super) neq: bool,
    /// With regard to case.
    pub(super) cased: bool,
    /// `%name%` stands for values.
    pub(super) expand: bool,
    /// `-` and `/` may be any dash.
    pub(super) windash: bool,
    /// How the value is encoded.
    pub(super) encoding: Option<Encoding>,
    /// Where in the field the value must stand.
    pub(super) place: Place,
    /// What kind of test it is.
    pub(super) kind: Kind,
}

/// What kind of test it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// The value itself, with wildcards.
    Value,
    Regex(Flags),
    Cidr,
    FieldRef,
    Exists,
    Compare(Comparison),
    TimePart(TimePart, Comparison),
}

/// Flags of a regular expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Flags {
    pub(super) ignore_case: bool,
    pub(super) multi_line: bool,
    pub(super) dot_all: bool,
}

/// Encodings of a value, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Encoding {
    pub(super) wide: Option<Wide>,
    pub(super) base64: Option<Base64>,
}

/// UTF-16.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wide {
    Little,
    Big,
    /// Little, behind a byte order mark.
    Marked,
}

/// Base64.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Base64 {
    /// Of the value alone.
    Whole,
    /// Of a text that the value stands in.
    Offset,
}

/// A modifier by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Modifier {
    All,
    Neq,
    Cased,
    Expand,
    Windash,
    Wide(Wide),
    Base64(Base64),
    Place(Place),
    Regex,
    Flag(char),
    Cidr,
    FieldRef,
    Exists,
    Compare(Comparison),
    TimePart(TimePart),
}

const NAMES: &[(&str, Modifier)] = &[
    ("all", Modifier::All),
    ("base64", Modifier::Base64(Base64::Whole)),
    ("base64offset", Modifier::Base64(Base64::Offset)),
    ("cased", Modifier::Cased),
    ("cidr", Modifier::Cidr),
    ("contains", Modifier::Place(Place::Within)),
    ("day", Modifier::TimePart(TimePart::Day)),
    ("dotall", Modifier::Flag('s')),
    ("endswith", Modifier::Place(Place::End)),
    ("exists", Modifier::Exists),
    ("expand", Modifier::Expand),
    ("fieldref", Modifier::FieldRef),
    ("gt", Modifier::Compare(Comparison::Greater)),
    ("gte", Modifier::Compare(Comparison::GreaterOrEqual)),
    ("hour", Modifier::TimePart(TimePart::Hour)),
    ("i", Modifier::Flag('i')),
    ("ignorecase", Modifier::Flag('i')),
    ("lt", Modifier::Compare(Comparison::Less)),
    ("lte", Modifier::Compare(Comparison::LessOrEqual)),
    ("m", Modifier::Flag('m')),
    ("minute", Modifier::TimePart(TimePart::Minute)),
    ("month", Modifier::TimePart(TimePart::Month)),
    ("multiline", Modifier::Flag('m')),
    ("neq", Modifier::Neq),
    ("re", Modifier::Regex),
    ("s", Modifier::Flag('s')),
    ("startswith", Modifier::Place(Place::Start)),
    ("utf16", Modifier::Wide(Wide::Marked)),
    ("utf16be", Modifier::Wide(Wide::Big)),
    ("utf16le", Modifier::Wide(Wide::Little)),
    ("week", Modifier::TimePart(TimePart::Week)),
    ("wide", Modifier::Wide(Wide::Little)),
    ("windash", Modifier::Windash),
    ("year", Modifier::TimePart(TimePart::Year)),
];

/// More modifiers than this do not go together.
const CHAIN_MAX: usize = 12;

/// Reads the modifiers of a field; all that is wrong with them, each with the modifier that it is about.
pub(super) fn chain<'a>(names: &[&'a str], keyword: bool) -> Result<Chain, Vec<(&'a str, Fault)>> {
    let mut faults = Vec::new();
    let mut known = Vec::new();
    for name in names.iter().take(CHAIN_MAX) {
        match NAMES.binary_search_by(|(known, _)| known.cmp(name)).ok().and_then(|at| NAMES.get(at)) {
            Some((_, modifier)) => known.push((*name, *modifier)),
            None => faults.push((*name, unknown(name))),
        }
    }
    if let Some(name) = names.get(CHAIN_MAX) {
        faults.push((
            *name,
            Fault::new(codes::G007, "there are more modifiers than go together", "leave some out"),
        ));
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    let mut reader = Reader { chain: PLAIN, keyword, seen: Vec::new() };
    for (name, modifier) in known {
        match reader.add(modifier) {
            Ok(()) => reader.seen.push((name, modifier)),
            Err(help) => {
                let message = match reader.seen.last() {
                    Some((before, _)) => format!("the modifier `{name}` cannot follow `{before}`"),
                    None => format!("the modifier `{name}` cannot stand here"),
                };
                faults.push((name, Fault::new(codes::G007, message, help)));
            }
        }
    }
    if faults.is_empty() { Ok(reader.chain) } else { Err(faults) }
}

fn unknown(name: &str) -> Fault {
    let message = format!("the modifier `{name}` is not known");
    if name == "not" {
        return Fault::new(codes::G006, message, "write `neq`, or `not` in the condition");
    }
    Fault::new(codes::G006, message, suggest(name, NAMES.iter().map(|(name, _)| *name)))
}

const PLAIN: Chain = Chain {
    all: false,
    neq: false,
    cased: false,
    expand: false,
    windash: false,
    encoding: None,
    place: Place::Whole,
    kind: Kind::Value,
};

struct Reader<'a> {
    chain: Chain,
    keyword: bool,
    seen: Vec<(&'a str, Modifier)>,
}

impl Reader<'_> {
    /// Adds a modifier; the error is what to write instead.
    fn add(&mut self, modifier: Modifier) -> Result<(), &'static str> {
        let chain = &mut self.chain;
        let placed = chain.place != Place::Whole;
        let encoded = chain.encoding.unwrap_or_default();
        // What is about how values are linked says nothing of each of them.
        let first = self.seen.iter().all(|(_, seen)| matches!(seen, Modifier::All | Modifier::Neq));
        if self.seen.iter().any(|(_, seen)| *seen == modifier) {
            return Err("write it once");
        }
        if chain.kind == Kind::Exists {
            return Err("`exists` stands alone");
        }
        let plain = chain.kind == Kind::Value;
        match modifier {
            Modifier::All => chain.all = true,
            Modifier::Neq if matches!(chain.kind, Kind::Compare(_)) => {
                return Err("write the opposite comparison, such as `gte` for `lt`");
            }
            Modifier::Neq => chain.neq = true,
            Modifier::Cased if plain || chain.kind == Kind::FieldRef => chain.cased = true,
            Modifier::Cased => return Err("leave it out: `re` regards case unless `i` follows it"),
            Modifier::Expand if plain || chain.kind == Kind::Cidr => chain.expand = true,
            Modifier::Expand => return Err("placeholders may stand in texts and in networks only"),
            Modifier::Windash if encoded != Encoding::default() => {
                return Err("write `windash` before the encoding");
            }
            Modifier::Windash if plain => chain.windash = true,
            Modifier::Windash => return Err("`windash` is for texts only"),
            Modifier::Wide(_) | Modifier::Base64(_) if !plain => return Err("an encoding is for texts only"),
            Modifier::Wide(_) | Modifier::Base64(_) if placed => {
                return Err("write the encoding before `contains`, as in `base64offset|contains`");
            }
            Modifier::Wide(_) if encoded.wide.is_some() => {
                return Err("write one of `wide`, `utf16le`, `utf16be` and `utf16`");
            }
            Modifier::Wide(_) if encoded.base64.is_some() => {
                return Err("write it before the other, as in `wide|base64offset`");
            }
            Modifier::Wide(wide) => chain.encoding = Some(Encoding { wide: Some(wide), ..encoded }),
            Modifier::Base64(_) if encoded.base64.is_some() => {
                return Err("write one of `base64` and `base64offset`");
            }
            Modifier::Base64(base64) => chain.encoding = Some(Encoding { base64: Some(base64), ..encoded }),
            Modifier::Place(_) if placed => {
                return Err("write one of `contains`, `startswith` and `endswith`");
            }
            Modifier::Place(place) if self.keyword && place != Place::Within => {
                return Err("keywords are searched anywhere in the event");
            }
            Modifier::Place(place) => match chain.kind {
                Kind::Value | Kind::Regex(_) | Kind::FieldRef => chain.place = place,
                _ => return Err("it is for texts, `re` and `fieldref` only"),
            },
            Modifier::Flag(flag) => {
                let Kind::Regex(flags) = &mut chain.kind else {
                    return Err("write it behind `re`, as in `re|i`");
                };
                match flag {
                    'i' if !flags.ignore_case => flags.ignore_case = true,
                    'm' if !flags.multi_line => flags.multi_line = true,
                    's' if !flags.dot_all => flags.dot_all = true,
                    _ => return Err("write it once"),
                }
            }
            Modifier::Compare(comparison) => match chain.kind {
                Kind::TimePart(part, Comparison::Equal) => chain.kind = Kind::TimePart(part, comparison),
                _ if self.keyword => return Err("write it behind a field's name"),
                _ if chain.neq => return Err("leave `neq` out, and write the opposite comparison"),
                _ if !first => return Err("write it alone: numbers are neither texts nor compared twice"),
                _ => chain.kind = Kind::Compare(comparison),
            },
            Modifier::Regex
            | Modifier::Cidr
            | Modifier::FieldRef
            | Modifier::Exists
            | Modifier::TimePart(_) => {
                if self.keyword && modifier != Modifier::Regex {
                    return Err("write it behind a field's name");
                }
                // `expand|cidr` is the one thing that may be written both ways.
                let expands = modifier == Modifier::Cidr
                    && self
                        .seen
                        .iter()
                        .all(|(_, seen)| matches!(seen, Modifier::All | Modifier::Neq | Modifier::Expand));
                if !(first || expands) {
                    return Err("write it first behind the field's name");
                }
                if modifier == Modifier::Exists && !self.seen.is_empty() {
                    return Err("`exists` stands alone");
                }
                chain.kind = match modifier {
                    Modifier::Regex => Kind::Regex(Flags::default()),
                    Modifier::Cidr => Kind::Cidr,
                    Modifier::FieldRef => Kind::FieldRef,
                    Modifier::TimePart(part) => Kind::TimePart(part, Comparison::Equal),
                    _ => Kind::Exists,
                };
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted() {
        assert!(NAMES.is_sorted_by(|a, b| a.0 < b.0));
    }

    #[test]
    fn what_does_not_go_together_is_refused_with_what_does() {
        for (text, expect) in [
            ("conatins", "did you mean `contains`"),
            ("not", "write `neq`"),
            ("contains|contains", "write it once"),
            ("contains|startswith", "write one of"),
            ("contains|base64offset", "before `contains`"),
            ("base64|wide", "wide|base64offset"),
            ("wide|utf16be", "write one of `wide`"),
            ("base64|base64offset", "write one of `base64`"),
            ("base64|windash", "before the encoding"),
            ("i", "behind `re`"),
            ("re|i|ignorecase", "write it once"),
            ("re|cased", "leave it out"),
            ("re|windash", "texts only"),
            ("re|expand", "placeholders may stand"),
            ("contains|re", "first behind"),
            ("cidr|contains", "for texts, `re` and `fieldref`"),
            ("cidr|cased", "leave it out"),
            ("exists|all", "stands alone"),
            ("neq|exists", "stands alone"),
            ("gt|neq", "opposite comparison"),
            ("gt|lt", "alone"),
            ("contains|gt", "alone"),
            ("gt|contains", "for texts"),
            ("contains|fieldref", "first behind"),
            ("hour|day", "first behind"),
            ("hour|gt|lt", "alone"),
            ("fieldref|expand", "placeholders"),
        ] {
            let names: Vec<&str> = text.split('|').collect();
            let faults = chain(&names, false).expect_err(text);
            let help = &faults.first().expect("a fault").1.help;
            assert!(help.contains(expect), "{text}: {help}");
        }
        for text in ["startswith", "cidr", "exists", "fieldref", "gt", "hour"] {
            assert!(chain(&[text], true).is_err(), "{text} on keywords");
        }
        let many = ["all"; CHAIN_MAX + 1];
        assert!(chain(&many, false).is_err());
    }

    #[test]
    fn what_goes_together_is_taken() {
        for text in [
            "",
            "contains|all",
            "all|contains",
            "startswith|windash",
            "windash|contains|all",
            "contains|cased|neq",
            "wide|base64offset|contains",
            "utf16|base64",
            "utf16le|base64offset|contains|all",
            "re|i|m|s",
            "re|ignorecase|contains",
            "all|re",
            "neq|re|s",
            "cidr|all",
            "cidr|expand",
            "expand|cidr",
            "contains|expand",
            "expand|contains|all",
            "fieldref|endswith|cased|neq",
            "hour|gte",
            "hour|neq",
            "year|all",
            "gte",
        ] {
            let names: Vec<&str> = text.split('|').filter(|name| !name.is_empty()).collect();
            assert!(chain(&names, false).is_ok(), "{text}: {:?}", chain(&names, false));
        }
    }
}
