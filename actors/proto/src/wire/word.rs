//! The closed words of the protocol as text, for those who print them.

use serde::Serialize;

/// What a value that is a bare word on the wire is called there; empty for any other.
pub fn word<T: Serialize>(value: &T) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        Ok(_) | Err(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::ErrorCode;

    #[test]
    fn a_word_is_spelt_as_on_the_wire() {
        assert_eq!(word(&ErrorCode::RateLimited), "rate-limited");
        assert_eq!(word(&7), "");
    }
}
