//! What a server answered, free of its protocol.
//!
//! Whoever talks to servers turns their frames into these; RESP2's flat arrays and RESP3's maps are
//! then the same to the parsers here, see [`Value::fields`].

/// A reply, or a part of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Nothing: a null bulk, a null array, a RESP3 null.
    Null,
    /// A number.
    Int(i64),
    /// A bulk or a simple string.
    Text(Vec<u8>),
    /// An array or a set.
    List(Vec<Value>),
    /// A RESP3 map.
    Map(Vec<(Value, Value)>),
    /// An error, without its dash.
    Error(String),
}

impl Value {
    /// A text value.
    pub fn text(text: impl AsRef<[u8]>) -> Value {
        Value::Text(text.as_ref().to_vec())
    }

    /// The text, if it is UTF-8.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::Text(text) => std::str::from_utf8(text).ok(),
            Value::Null | Value::Int(_) | Value::List(_) | Value::Map(_) | Value::Error(_) => None,
        }
    }

    /// The number, also one that is written as text, as in Sentinel's answers.
    pub fn as_u64(&self) -> Option<u64> {
        match self {
            Value::Int(number) => u64::try_from(*number).ok(),
            Value::Text(_) => self.as_str()?.parse().ok(),
            Value::Null | Value::List(_) | Value::Map(_) | Value::Error(_) => None,
        }
    }

    /// The members of a list.
    pub fn as_list(&self) -> Option<&[Value]> {
        match self {
            Value::List(list) => Some(list),
            Value::Null | Value::Int(_) | Value::Text(_) | Value::Map(_) | Value::Error(_) => None,
        }
    }

    /// The fields of a map, or of a flat list of names and values in turn; a name without a value
    /// at the end is left out.
    pub fn fields(&self) -> Vec<(&Value, &Value)> {
        match self {
            Value::Map(pairs) => pairs.iter().map(|(name, value)| (name, value)).collect(),
            Value::List(flat) => flat
                .chunks_exact(2)
                .filter_map(|pair| pair.first().zip(pair.last()))
                .collect(),
            Value::Null | Value::Int(_) | Value::Text(_) | Value::Error(_) => Vec::new(),
        }
    }

    /// The first field of that name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        let named = |(key, value)| (Value::as_str(key) == Some(name)).then_some(value);
        self.fields().into_iter().find_map(named)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flat_lists_and_maps_have_the_same_fields() {
        let pairs = vec![(Value::text("a"), Value::Int(1))];
        let flat = vec![Value::text("a"), Value::text("1"), Value::text("rest")];
        for value in [Value::Map(pairs), Value::List(flat)] {
            assert_eq!(value.get("a").and_then(Value::as_u64), Some(1));
            assert_eq!(value.get("rest"), None);
        }
    }
}
