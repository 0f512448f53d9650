//! Request parameters: bounded, each name once (RFC 6749 3.1).

use crate::aadsts::Aadsts;

const MAX_BYTES: usize = 64 * 1024;
const MAX_FIELDS: usize = 64;

/// Parsed query or form. An empty value counts as absent, as RFC 6749 3.1 has it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Params(Vec<(String, String)>);

impl Params {
    pub(crate) fn parse(text: &str) -> Result<Self, Aadsts> {
        if text.len() > MAX_BYTES {
            return Err(Aadsts::malformed());
        }
        let fields: Vec<(String, String)> =
            form_urlencoded::parse(text.as_bytes()).into_owned().take(MAX_FIELDS + 1).collect();
        if fields.len() > MAX_FIELDS {
            return Err(Aadsts::malformed());
        }
        for (index, (name, _)) in fields.iter().enumerate() {
            if fields[..index].iter().any(|(earlier, _)| earlier == name) {
                return Err(Aadsts::duplicated(name));
            }
        }
        Ok(Self(fields))
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(n, v)| n == name && !v.is_empty()).map(|(_, v)| v.as_str())
    }

    pub(crate) fn require(&self, name: &str) -> Result<&str, Aadsts> {
        self.get(name).ok_or_else(|| Aadsts::missing(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_given_twice_is_refused() {
        assert_eq!(Params::parse("a=1&a=2").unwrap_err().code, 9_000_411);
    }
}
