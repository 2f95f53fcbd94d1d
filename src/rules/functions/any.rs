//! `any_like`, `any_ilike`, `any_regexp_like` and `any_cidr_match`: the test of a text that may be a JSON list.
//!
//! Owns these four functions, what counts as an item for all that look at lists, and the compiled patterns, of which all rules share one store. For
//! fields that hold one value in one event and several in the next: one item that passes is enough. `rules::sql` reads
//! the patterns at load, so that a typing error is a diagnostic and not an error on the stream.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use arrow::array::BooleanArray;
use arrow::datatypes::DataType;
use datafusion::common::cast::as_string_view_array;
use datafusion::common::{Result, ScalarValue, exec_datafusion_err, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use regex::{Regex, RegexBuilder};
use serde_json::Value;

use super::cidr_match::Network;

/// Compiled patterns that are kept, of all rules together; when they are more, half of them are compiled again when
/// they are next asked for.
const PATTERNS_MAX: usize = 16_384;
/// Bytes of one compiled pattern; those of DataFusion's own LIKE are as large.
const COMPILED_BYTES_MAX: usize = 10 << 20;

/// Which of the functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Kind {
    Like,
    ILike,
    Regex,
    Cidr,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Like => "any_like",
            Self::ILike => "any_ilike",
            Self::Regex => "any_regexp_like",
            Self::Cidr => "any_cidr_match",
        }
    }

    fn compile(self, pattern: &str) -> Result<Test> {
        let regex = |text: &str, insensitive: bool| {
            let built = RegexBuilder::new(text)
                .case_insensitive(insensitive)
                .dot_matches_new_line(self != Self::Regex)
                .size_limit(COMPILED_BYTES_MAX)
                .build();
            built.map(Test::Regex).map_err(|error| exec_datafusion_err!("{error}"))
        };
        match self {
            Self::Like => regex(&like_regex(pattern), false),
            Self::ILike => regex(&like_regex(pattern), true),
            Self::Regex => regex(pattern, false),
            Self::Cidr => {
                Network::parse(pattern).map(Test::Network).map_err(|error| exec_datafusion_err!("{error}"))
            }
        }
    }

    /// The compiled pattern.
    fn test(self, pattern: &str) -> Result<Arc<Test>> {
        type Store = HashMap<Kind, HashMap<Box<str>, Arc<Test>>>;
        static STORE: LazyLock<Mutex<Store>> = LazyLock::new(Mutex::default);
        let stored = |store: &Store| store.get(&self).and_then(|tests| tests.get(pattern)).map(Arc::clone);
        if let Some(test) = stored(&STORE.lock().unwrap_or_else(PoisonError::into_inner)) {
            return Ok(test);
        }
        // Compiled without the lock: other lanes need not wait for it.
        let test = Arc::new(self.compile(pattern)?);
        let mut store = STORE.lock().unwrap_or_else(PoisonError::into_inner);
        if store.values().map(HashMap::len).sum::<usize>() >= PATTERNS_MAX {
            let mut nth = 0usize;
            for tests in store.values_mut() {
                tests.retain(|_, _| {
                    nth += 1;
                    nth.is_multiple_of(2)
                });
            }
        }
        store.entry(self).or_default().insert(pattern.into(), Arc::clone(&test));
        Ok(test)
    }
}

/// A compiled pattern.
enum Test {
    Regex(Regex),
    Network(Network),
}

impl Test {
    /// Whether one text passes; `None` where it cannot be asked.
    fn passes(&self, text: &str) -> Option<bool> {
        match self {
            Self::Regex(regex) => Some(regex.is_match(text)),
            Self::Network(network) => text.trim().parse().ok().map(|address| network.contains(address)),
        }
    }

    /// Whether the text, or one item of it when it is a JSON list, passes.
    fn any(&self, text: &str) -> Option<bool> {
        any_item(text, &mut |text| self.passes(text))
    }
}

/// Whether the text passes, or one item of it when it is a JSON list; `None` where a text cannot be asked.
pub(super) fn any_item(text: &str, passes: &mut dyn FnMut(&str) -> Option<bool>) -> Option<bool> {
    match items(text) {
        Some(items) => Some(items.iter().any(|item| item_passes(item, passes))),
        None => passes(text),
    }
}

/// The text, or all items of it when it is a JSON list.
pub(super) fn texts(text: &str) -> Vec<Cow<'_, str>> {
    fn collect(items: Vec<Value>, into: &mut Vec<Cow<'_, str>>) {
        for item in items {
            match item {
                Value::Null => {}
                Value::String(text) => into.push(Cow::Owned(text)),
                Value::Array(items) => collect(items, into),
                other => into.push(Cow::Owned(other.to_string())),
            }
        }
    }
    let Some(items) = items(text) else { return vec![Cow::Borrowed(text)] };
    let mut all = Vec::new();
    collect(items, &mut all);
    all
}

fn items(text: &str) -> Option<Vec<Value>> {
    if !text.starts_with('[') {
        return None;
    }
    // serde_json refuses what is nested deeper than 128.
    serde_json::from_str(text).ok()
}

fn item_passes(item: &Value, passes: &mut dyn FnMut(&str) -> Option<bool>) -> bool {
    match item {
        Value::Null => false,
        Value::String(text) => passes(text) == Some(true),
        Value::Array(items) => items.iter().any(|item| item_passes(item, passes)),
        other => passes(&other.to_string()) == Some(true),
    }
}

/// The regular expression of a LIKE pattern, as DataFusion makes it: `%` is any text, `_` one character, and a backslash
/// takes what follows it as it is; at the end it stands for itself.
pub(crate) fn like_regex(pattern: &str) -> String {
    let mut regex = String::with_capacity(pattern.len() * 2 + 4);
    let push = |character: char, regex: &mut String| {
        let mut buffer = [0; 4];
        regex.push_str(&regex::escape(character.encode_utf8(&mut buffer)));
    };
    let inner = match pattern.strip_prefix('%') {
        Some(rest) => rest,
        None => {
            regex.push('^');
            pattern
        }
    };
    let mut open = false;
    let mut characters = inner.chars();
    while let Some(character) = characters.next() {
        open = false;
        match character {
            '\\' => push(characters.next().unwrap_or('\\'), &mut regex),
            '%' => {
                regex.push_str(".*");
                open = true;
            }
            '_' => regex.push('.'),
            other => push(other, &mut regex),
        }
    }
    // A pattern of one `%` alone has no end either.
    if open {
        regex.truncate(regex.len() - ".*".len());
    } else if pattern != "%" {
        regex.push('$');
    }
    regex
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Any {
    kind: Kind,
    signature: Signature,
}

impl ScalarUDFImpl for Any {
    fn name(&self) -> &str {
        self.kind.name()
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [text, pattern] = args.args.as_slice() else {
            return exec_err!("{} takes two arguments", self.kind.name());
        };
        let ColumnarValue::Scalar(pattern) = pattern else {
            return exec_err!("the second argument of {} must be a literal", self.kind.name());
        };
        let Some(Some(pattern)) = pattern.try_as_str() else {
            return Ok(ColumnarValue::Scalar(ScalarValue::Boolean(None)));
        };
        let test = self.kind.test(pattern)?;
        match text {
            ColumnarValue::Scalar(scalar) => {
                let text = scalar.try_as_str().flatten();
                Ok(ColumnarValue::Scalar(ScalarValue::Boolean(text.and_then(|text| test.any(text)))))
            }
            ColumnarValue::Array(array) => {
                let texts = as_string_view_array(array)?;
                let result: BooleanArray =
                    texts.iter().map(|text| text.and_then(|text| test.any(text))).collect();
                Ok(ColumnarValue::Array(Arc::new(result)))
            }
        }
    }
}

fn udf(kind: Kind) -> Arc<ScalarUDF> {
    static UDFS: LazyLock<[(Kind, Arc<ScalarUDF>); 4]> = LazyLock::new(|| {
        [Kind::Like, Kind::ILike, Kind::Regex, Kind::Cidr].map(|kind| {
            let types = vec![DataType::Utf8View, DataType::Utf8View];
            let signature = Signature::exact(types, Volatility::Immutable);
            (kind, Arc::new(ScalarUDF::new_from_impl(Any { kind, signature })))
        })
    });
    let [first, ..] = &*UDFS;
    let found = UDFS.iter().find(|(of, _)| *of == kind).unwrap_or(first);
    Arc::clone(&found.1)
}

/// `any_like`, one for all rules.
pub(super) fn any_like() -> Arc<ScalarUDF> {
    udf(Kind::Like)
}

/// `any_ilike`.
pub(super) fn any_ilike() -> Arc<ScalarUDF> {
    udf(Kind::ILike)
}

/// `any_regexp_like`.
pub(super) fn any_regexp_like() -> Arc<ScalarUDF> {
    udf(Kind::Regex)
}

/// `any_cidr_match`.
pub(super) fn any_cidr_match() -> Arc<ScalarUDF> {
    udf(Kind::Cidr)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_item_that_passes_is_enough() {
        #[rustfmt::skip]
        let table = [
            (Kind::ILike, "%CMD%", "c:\\cmd.exe", Some(true)),
            (Kind::Like, "%CMD%", "c:\\cmd.exe", Some(false)),
            (Kind::ILike, "cmd", r#"["a","CMD"]"#, Some(true)),
            (Kind::ILike, "cmd", r#"["a",["b",["cmd"]]]"#, Some(true)),
            (Kind::ILike, "cmd", r#"["a","cmd2"]"#, Some(false)),
            (Kind::ILike, "7", "[1,7]", Some(true)),
            (Kind::ILike, "true", "[false,true]", Some(true)),
            (Kind::ILike, "null", "[null]", Some(false)),
            (Kind::ILike, "%", "[]", Some(false)),
            (Kind::ILike, r#"{"a":1}"#, r#"[{"a":1}]"#, Some(true)),
            // No list, though it begins like one.
            (Kind::ILike, "[x", "[x", Some(true)),
            (Kind::ILike, "[%]", "[x]", Some(true)),
            // Only what begins with it is read.
            (Kind::ILike, r#" ["a"]"#, r#" ["a"]"#, Some(true)),
            (Kind::Regex, r"^b\d$", r#"["a1","b2"]"#, Some(true)),
            (Kind::Regex, r"^\[", "[x", Some(true)),
            (Kind::Regex, "(?i)^B", "b", Some(true)),
            (Kind::Regex, "a.b", "a\nb", Some(false)),
            (Kind::Like, "a_b", "a\nb", Some(true)),
            (Kind::Cidr, "10.0.0.0/8", "10.1.2.3", Some(true)),
            (Kind::Cidr, "10.0.0.0/8", r#"["192.0.2.1","10.1.2.3"]"#, Some(true)),
            (Kind::Cidr, "10.0.0.0/8", r#"["192.0.2.1","x"]"#, Some(false)),
            (Kind::Cidr, "10.0.0.0/8", "x", None),
        ];
        for (kind, pattern, text, expect) in table {
            let test = kind.test(pattern).expect(pattern);
            assert_eq!(test.any(text), expect, "{}('{text}', '{pattern}')", kind.name());
        }
    }

    #[test]
    fn lists_nested_without_end_are_texts() {
        let text = "[".repeat(100_000);
        assert_eq!(Kind::Like.test("[%").expect("compiles").any(&text), Some(true));
    }

    #[test]
    fn a_pattern_that_cannot_be_compiled_is_an_error() {
        assert!(Kind::Regex.test("(").is_err());
        assert!(Kind::Cidr.test("intranet").is_err());
    }

    #[test]
    fn the_store_stays_within_its_bound() {
        for nth in 0..PATTERNS_MAX + 10 {
            let address = std::net::Ipv4Addr::from(nth as u32);
            let test = Kind::Cidr.test(&format!("{address}/32")).expect("compiles");
            assert_eq!(test.any(&address.to_string()), Some(true));
        }
    }

    proptest! {
        /// Against the operators themselves, where the text is no list.
        #[test]
        fn patterns_are_those_of_the_operators(
            pattern in r"[aAkKſß省%_\\.*\n(\[]{0,6}",
            text in r"[aAkKKsSſß省%_\\.*\n(]{0,6}",
        ) {
            use arrow::array::{Scalar, StringViewArray};
            // One text alone, and beside one that is not ASCII: the kernels take different ways.
            for beside in ["", "省"] {
                let texts = StringViewArray::from(vec![text.as_str(), beside]);
                let scalar = Scalar::new(StringViewArray::from(vec![pattern.as_str()]));
                let like = arrow::compute::kernels::comparison::like(&texts, &scalar).expect("like");
                let ilike = arrow::compute::kernels::comparison::ilike(&texts, &scalar).expect("ilike");
                let test = |kind: Kind| kind.test(&pattern).expect("compiles").any(&text);
                prop_assert_eq!(test(Kind::Like), Some(like.value(0)), "{:?} LIKE {:?}", text, pattern);
                prop_assert_eq!(test(Kind::ILike), Some(ilike.value(0)), "{:?} ILIKE {:?}", text, pattern);
            }
        }
    }
}
