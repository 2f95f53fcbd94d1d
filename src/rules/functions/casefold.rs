//! `casefold(text)`: the text without its case.
//!
//! Owns the function. Two texts are the same after it when ILIKE takes the one for the other: it folds each character
//! by itself, as regular expressions do (Unicode's simple case folding), so the text keeps its length in characters.

use std::sync::{Arc, LazyLock};

use arrow::array::StringViewArray;
use arrow::datatypes::DataType;
use datafusion::common::cast::as_string_view_array;
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

/// The one character that stands for all of its cases.
fn folded(character: char) -> char {
    if character.is_ascii() {
        return character.to_ascii_lowercase();
    }
    match character {
        // A dotless i has the upper case I, and is no case of it.
        'ı' => return character,
        // Two letters each, and the same ones; their upper case is several characters.
        '\u{1fd3}' => return '\u{390}',
        '\u{1fe3}' => return '\u{3b0}',
        '\u{fb06}' => return '\u{fb05}',
        // Letters that the standard library knows, and the tables of regular expressions, which ILIKE uses, not yet.
        '\u{a7ce}'..='\u{a7cf}' | '\u{a7d2}'..='\u{a7d5}' | '\u{16ea0}'..='\u{16ed3}' => return character,
        _ => {}
    }
    let upper = alone(character.to_uppercase()).unwrap_or(character);
    alone(upper.to_lowercase()).unwrap_or(upper)
}

/// The character, when it is one.
fn alone(mut characters: impl Iterator<Item = char>) -> Option<char> {
    let first = characters.next();
    first.filter(|_| characters.next().is_none())
}

pub(crate) fn casefold(text: &str) -> String {
    let mut folded = String::with_capacity(text.len());
    casefold_into(text, &mut folded);
    folded
}

/// The same behind what is there.
pub(crate) fn casefold_into(text: &str, into: &mut String) {
    let mut rest = text;
    while !rest.is_empty() {
        // Most text is ASCII, whose case goes many bytes at a time.
        let (plain, other) = rest.split_at(ascii_run(rest.as_bytes()));
        let from = into.len();
        into.push_str(plain);
        if let Some(plain) = into.get_mut(from..) {
            plain.make_ascii_lowercase();
        }
        let mut characters = other.chars();
        into.extend(characters.next().map(folded));
        rest = characters.as_str();
    }
}

/// How many ASCII bytes a text begins with.
fn ascii_run(text: &[u8]) -> usize {
    let (chunks, _) = text.as_chunks::<32>();
    let whole = 32 * chunks.iter().take_while(|chunk| chunk.is_ascii()).count();
    whole + text.iter().skip(whole).take_while(|byte| byte.is_ascii()).count()
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Casefold {
    signature: Signature,
}

impl ScalarUDFImpl for Casefold {
    fn name(&self) -> &str {
        "casefold"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8View)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        match args.args.as_slice() {
            [ColumnarValue::Scalar(text)] => {
                let text = text.try_as_str().flatten().map(casefold);
                Ok(ColumnarValue::Scalar(ScalarValue::Utf8View(text)))
            }
            [ColumnarValue::Array(texts)] => {
                let texts = as_string_view_array(texts)?;
                let folded: StringViewArray = texts.iter().map(|text| text.map(casefold)).collect();
                Ok(ColumnarValue::Array(Arc::new(folded)))
            }
            _ => exec_err!("casefold takes one argument"),
        }
    }
}

/// The function, one for all rules.
pub(super) fn udf() -> Arc<ScalarUDF> {
    static UDF: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| {
        let signature = Signature::exact(vec![DataType::Utf8View], Volatility::Immutable);
        Arc::new(ScalarUDF::new_from_impl(Casefold { signature }))
    });
    Arc::clone(&UDF)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn characters_are_the_same_when_ilike_says_so() {
        let cased = |c: &char| c.to_lowercase().ne([*c]) || c.to_uppercase().ne([*c]);
        let all = (0..=u32::from(char::MAX)).filter_map(char::from_u32);
        let all: Vec<char> = all.filter(cased).collect();
        let mut classes: BTreeMap<char, String> = BTreeMap::new();
        for character in &all {
            classes.entry(folded(*character)).or_default().push(*character);
        }
        let text: String = all.iter().collect();
        let mut wrong = Vec::new();
        for character in &all {
            let regex = regex::Regex::new(&format!("(?i){character}")).expect("a character");
            let same: String = regex.find_iter(&text).map(|found| found.as_str()).collect();
            let own = &classes[&folded(*character)];
            if *own != same {
                wrong.push(format!("{character}: {own} and not {same}"));
            }
        }
        assert!(wrong.is_empty(), "{wrong:?}");
    }

    #[test]
    fn texts_are_folded_by_character() {
        for (text, expect) in [
            ("", ""),
            ("C:\\Ä", "c:\\ä"),
            ("Straße", "straße"),
            ("ΣΑΣ", "σασ"),
            ("\u{212a}ſ", "ks"),
            ("İı", "İı"),
        ] {
            assert_eq!(casefold(text), expect);
        }
    }
}
