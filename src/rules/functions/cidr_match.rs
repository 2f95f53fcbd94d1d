//! `cidr_match(address, network)`: whether an address lies in a network.
//!
//! Owns the function and the reading of networks; `rules::sql` reads the literal at load, so that a typing
//! error is a diagnostic and not an error on the stream.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, LazyLock};

use arrow::array::{Array, BooleanArray};
use arrow::datatypes::DataType;
use datafusion::common::cast::as_string_view_array;
use datafusion::common::{Result, ScalarValue, exec_err};
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    ColumnarValue, Expr, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};

/// A network: 128 bits and how many of them count. IPv4 is kept in its mapped IPv6 form, so that both ways
/// to write an IPv4 address are equal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Network {
    bits: u128,
    mask: u128,
}

impl Network {
    /// Reads `10.0.0.0/8`, `2001:db8::/32` or a single address.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (address, length) = match text.split_once('/') {
            Some((address, length)) => (address, Some(length)),
            None => (text, None),
        };
        let address: IpAddr =
            address.parse().map_err(|_| format!("`{address}` is neither an IPv4 nor an IPv6 address"))?;
        let width = if address.is_ipv4() { 32u32 } else { 128 };
        let length = match length {
            None => width,
            Some(text) => text
                .parse::<u32>()
                .ok()
                .filter(|length| *length <= width && text.bytes().all(|byte| byte.is_ascii_digit()))
                .ok_or_else(|| format!("the prefix length `{text}` is not a number from 0 to {width}"))?,
        };
        let mask = u128::MAX.checked_shl(width - length).unwrap_or(0);
        let bits = mapped(address);
        if bits & !mask != 0 {
            let first = Ipv6Addr::from(bits & mask);
            let first = if width == 32 { first.to_canonical() } else { IpAddr::V6(first) };
            return Err(format!("`{text}` has bits set behind its prefix; write {first}/{length}"));
        }
        Ok(Self { bits, mask })
    }

    /// Whether an address lies in it.
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        mapped(address) & self.mask == self.bits
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let length = self.mask.leading_ones();
        match IpAddr::V6(Ipv6Addr::from(self.bits)).to_canonical() {
            IpAddr::V4(address) if length >= 96 => write!(f, "{address}/{}", length - 96),
            _ => write!(f, "{}/{length}", Ipv6Addr::from(self.bits)),
        }
    }
}

/// The address that a text is, as the function reads it.
pub(crate) fn address(text: &str) -> Option<IpAddr> {
    text.trim().parse().ok()
}

/// The function's call.
pub(crate) fn cidr_match(address: Expr, network: Expr) -> Expr {
    Expr::ScalarFunction(ScalarFunction::new_udf(udf(), vec![address, network]))
}

fn mapped(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_ipv6_mapped()),
        IpAddr::V6(address) => u128::from(address),
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct CidrMatch {
    signature: Signature,
}

impl ScalarUDFImpl for CidrMatch {
    fn name(&self) -> &str {
        "cidr_match"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arg_types: &[DataType]) -> Result<DataType> {
        Ok(DataType::Boolean)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [addresses, network] = args.args.as_slice() else {
            return exec_err!("cidr_match takes two arguments");
        };
        let network = match network {
            ColumnarValue::Scalar(scalar) => match scalar.try_as_str() {
                Some(Some(text)) => Network::parse(text),
                _ => return Ok(ColumnarValue::Scalar(ScalarValue::Boolean(None))),
            },
            ColumnarValue::Array(_) => return exec_err!("the network must be a literal"),
        };
        let network = match network {
            Ok(network) => network,
            Err(error) => return exec_err!("{error}"),
        };
        let matches = |text: &str| address(text).map(|address| network.contains(address));
        match addresses {
            ColumnarValue::Scalar(scalar) => {
                let text = scalar.try_as_str().flatten();
                Ok(ColumnarValue::Scalar(ScalarValue::Boolean(text.and_then(matches))))
            }
            ColumnarValue::Array(array) => {
                let texts = as_string_view_array(array)?;
                let result: BooleanArray = texts.iter().map(|text| text.and_then(matches)).collect();
                debug_assert_eq!(result.len(), texts.len());
                Ok(ColumnarValue::Array(Arc::new(result)))
            }
        }
    }
}

/// The function, one for all rules.
pub(super) fn udf() -> Arc<ScalarUDF> {
    static UDF: LazyLock<Arc<ScalarUDF>> = LazyLock::new(|| {
        let types = vec![DataType::Utf8View, DataType::Utf8View];
        let signature = Signature::exact(types, Volatility::Immutable);
        Arc::new(ScalarUDF::new_from_impl(CidrMatch { signature }))
    });
    Arc::clone(&UDF)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_lie_in_networks() {
        for (network, address, expect) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.0.0.0/8", "::ffff:10.1.2.3", true),
            ("::ffff:10.0.0.0/104", "10.1.2.3", true),
            ("0.0.0.0/0", "255.255.255.255", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("::/0", "2001:db8::1", true),
            ("192.0.2.7", "192.0.2.7", true),
            ("192.0.2.7", "192.0.2.8", false),
            ("2001:db8::/32", "2001:db8:ffff::1", true),
            ("2001:db8::/32", "2001:db9::1", false),
            ("fe80::/10", "fe80::1", true),
        ] {
            let network = Network::parse(network).expect(network);
            assert_eq!(network.contains(address.parse().expect(address)), expect, "{network:?} {address}");
        }
    }

    #[test]
    fn a_bad_network_says_what_is_wrong() {
        for (text, expect) in [
            ("10.0.0.0/33", "from 0 to 32"),
            ("10.0.0.0/+8", "from 0 to 32"),
            ("10.0.0.0/", "from 0 to 32"),
            ("10.1.2.3/8", "write 10.0.0.0/8"),
            ("2001:db8::1/32", "write 2001:db8::/32"),
            ("intranet", "neither"),
            ("", "neither"),
        ] {
            let error = Network::parse(text).expect_err(text);
            assert!(error.contains(expect), "{text}: {error}");
        }
    }
}
