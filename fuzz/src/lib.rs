//! What the fuzz targets assert: the same functions that `tests/suite/fuzz.rs` runs on the committed cases.

#[path = "../../tests/suite/fuzz/config.rs"]
pub mod config;
#[path = "../../tests/suite/fuzz/decoders.rs"]
pub mod decoders;
#[path = "../../tests/suite/fuzz/documents.rs"]
pub mod documents;
#[path = "../../tests/suite/fuzz/http.rs"]
pub mod http;
#[path = "../../tests/suite/fuzz/index.rs"]
pub mod index;
#[path = "../../tests/suite/fuzz/letters.rs"]
pub mod letters;
#[path = "../../tests/suite/fuzz/naive.rs"]
pub mod naive;
#[path = "../../tests/suite/fuzz/rules.rs"]
pub mod rules;
#[path = "../../tests/suite/fuzz/said.rs"]
pub mod said;
#[path = "../../tests/suite/fuzz/sigma.rs"]
pub mod sigma;
#[path = "../../tests/suite/fuzz/text.rs"]
pub mod text;
