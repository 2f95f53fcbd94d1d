//! `test_stumble(text)`: what no function on the list does, for the tests of what becomes of a rule that does it.
//!
//! Owns the function and the time that it pretends to take. There is neither of them outside of tests.

use std::cell::Cell;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use arrow::array::StringViewArray;
use arrow::datatypes::DataType;
use datafusion::common::cast::as_string_view_array;
use datafusion::common::{Result, exec_err};
use datafusion::logical_expr::{
    ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

/// What a text that begins with `slow` takes.
pub(crate) const SLOW: Duration = Duration::from_secs(60);

thread_local! {
    static PRETENDED: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// The time that the function has pretended to take on this thread.
pub(crate) fn pretended() -> Duration {
    PRETENDED.get()
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Stumble {
    signature: Signature,
}

impl ScalarUDFImpl for Stumble {
    fn name(&self) -> &str {
        "test_stumble"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Utf8View)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [ColumnarValue::Array(texts)] = args.args.as_slice() else {
            return exec_err!("test_stumble takes a column");
        };
        let texts = as_string_view_array(texts)?;
        for text in texts.iter().flatten() {
            assert!(!text.starts_with("panic"), "{text}");
            if text.starts_with("fail") {
                return exec_err!("it cannot take {text}");
            }
            if text.starts_with("slow") {
                PRETENDED.set(PRETENDED.get() + SLOW);
            }
        }
        let same: StringViewArray = texts.iter().collect();
        Ok(ColumnarValue::Array(Arc::new(same)))
    }
}

pub(super) fn udf() -> Arc<ScalarUDF> {
    static STUMBLE: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| {
        let signature = Signature::exact(vec![DataType::Utf8View], Volatility::Immutable);
        Arc::new(ScalarUDF::new_from_impl(Stumble { signature }))
    });
    Arc::clone(&STUMBLE)
}
