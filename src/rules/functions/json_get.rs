//! `json_get(text, path)`: a value inside a JSON text.
//!
//! Owns the function. For columns that keep a part of the event as JSON; a value that is wanted often should
//! be a column of the table instead, because this reads the whole text for each row.

use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, StringViewArray};
use arrow::datatypes::DataType;
use datafusion::common::cast::as_string_view_array;
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use serde_json::Value;

#[derive(Debug, PartialEq, Eq, Hash)]
struct JsonGet {
    signature: Signature,
}

fn get(text: &str, path: &[&str]) -> Option<String> {
    // serde_json refuses what is nested deeper than 128.
    let mut value: Value = serde_json::from_str(text).ok()?;
    for segment in path {
        value = match value {
            Value::Object(mut object) => object.remove(*segment)?,
            Value::Array(mut items) => {
                let at: usize = segment.parse().ok()?;
                if at >= items.len() {
                    return None;
                }
                items.swap_remove(at)
            }
            _ => return None,
        };
    }
    match value {
        Value::Null => None,
        Value::String(text) => Some(text),
        other => Some(other.to_string()),
    }
}

impl ScalarUDFImpl for JsonGet {
    fn name(&self) -> &str {
        "json_get"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8View)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [text, path] = args.args.as_slice() else {
            return exec_err!("json_get takes two arguments");
        };
        let ColumnarValue::Scalar(path) = path else {
            return exec_err!("the path must be a literal");
        };
        let Some(Some(path)) = path.try_as_str() else {
            return Ok(ColumnarValue::Scalar(ScalarValue::Utf8View(None)));
        };
        let path: Vec<&str> = path.split('.').collect();
        match text {
            ColumnarValue::Scalar(scalar) => {
                let found = scalar.try_as_str().flatten().and_then(|text| get(text, &path));
                Ok(ColumnarValue::Scalar(ScalarValue::Utf8View(found)))
            }
            ColumnarValue::Array(array) => {
                let texts = as_string_view_array(array)?;
                let found: StringViewArray =
                    texts.iter().map(|text| text.and_then(|text| get(text, &path))).collect();
                Ok(ColumnarValue::Array(Arc::new(found) as ArrayRef))
            }
        }
    }
}

/// The function, one for all rules.
pub(super) fn udf() -> Arc<ScalarUDF> {
    static UDF: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| {
        let types = vec![DataType::Utf8View, DataType::Utf8View];
        let signature = Signature::exact(types, Volatility::Immutable);
        Arc::new(ScalarUDF::new_from_impl(JsonGet { signature }))
    });
    Arc::clone(&UDF)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_out_as_text() {
        let text = r#"{"a":{"b":["x",{"c":7}]},"n":null,"t":true}"#;
        for (path, expect) in [
            ("a.b.0", Some("x")),
            ("a.b.1.c", Some("7")),
            ("a.b.1", Some(r#"{"c":7}"#)),
            ("a.b.2", None),
            ("a.b.-1", None),
            ("n", None),
            ("t", Some("true")),
            ("t.u", None),
            ("nothing", None),
        ] {
            let path: Vec<&str> = path.split('.').collect();
            assert_eq!(get(text, &path).as_deref(), expect, "{path:?}");
        }
        assert_eq!(get("no json", &["a"]), None);
        assert_eq!(get(&"[".repeat(100_000), &["0"]), None);
    }
}
