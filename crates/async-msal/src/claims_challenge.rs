//! Claims challenges: what an API or the authority demands of the next token.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use http::HeaderMap;
use http::header::WWW_AUTHENTICATE;
use serde_json::{Map, Value, json};

use crate::error::{Error, InvalidResponse};
use crate::json;

/// Longer challenges are refused: a request line has to carry them.
const LONGEST: usize = 8 * 1024;

/// The `claims` request parameter (OpenID Connect Core 5.5): a JSON object, kept as it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimsChallenge {
    text: String,
    object: Map<String, Value>,
}

impl ClaimsChallenge {
    /// Takes JSON text; only an object will do.
    ///
    /// # Errors
    ///
    /// [`Error::InvalidResponse`] for anything but a JSON object of at most 8 KiB.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let malformed = || Error::from(InvalidResponse::ClaimsChallenge);
        if text.len() > LONGEST {
            return Err(malformed());
        }
        let object = json::parse_object(text.as_bytes()).map_err(|_| malformed())?;
        Ok(Self { text: text.to_owned(), object })
    }

    /// The claims of the first `insufficient_claims` challenge among these headers, if there is one
    /// that can be read (continuous access evaluation).
    ///
    /// Several headers, several challenges in one header, quoted strings, either base64 alphabet and
    /// missing padding are understood. The headers are those of the crate `http`, and so of an answer of `reqwest`.
    ///
    /// ```
    /// use async_msal::ClaimsChallenge;
    /// let mut headers = http::HeaderMap::new();
    /// let challenge = r#"Bearer error="insufficient_claims", claims="eyJhY2Nlc3NfdG9rZW4iOnt9fQ""#;
    /// headers.insert("www-authenticate", challenge.parse()?);
    /// let claims = ClaimsChallenge::from_www_authenticate(&headers).ok_or("no challenge")?;
    /// assert_eq!(claims.as_str(), r#"{"access_token":{}}"#);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn from_www_authenticate(headers: &HeaderMap) -> Option<Self> {
        headers
            .get_all(WWW_AUTHENTICATE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(parse_challenges)
            .find_map(|challenge| challenge.insufficient_claims())
    }

    /// The JSON text as it came.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// The `claims` parameter: the challenge with the client's capabilities put inside its
/// `access_token` member; verbatim where there are no capabilities.
pub(crate) fn merged(challenge: Option<&ClaimsChallenge>, capabilities: &[String]) -> Option<String> {
    merged_with(challenge, capabilities, None)
}

/// As [`merged`], with the caller's own claims on top of both.
pub(crate) fn merged_with(
    challenge: Option<&ClaimsChallenge>,
    capabilities: &[String],
    forwarded: Option<&ClaimsChallenge>,
) -> Option<String> {
    if capabilities.is_empty() && forwarded.is_none() {
        return challenge.map(|challenge| challenge.text.clone());
    }
    let mut object = challenge.map(|challenge| challenge.object.clone()).unwrap_or_default();
    put_capabilities(&mut object, capabilities);
    if let Some(forwarded) = forwarded {
        lay_over(&mut object, &forwarded.object);
    }
    Some(Value::Object(object).to_string())
}

/// Objects are merged member by member; everything else is replaced. The depth is that of parsed JSON, bounded.
fn lay_over(below: &mut Map<String, Value>, above: &Map<String, Value>) {
    for (name, value) in above {
        match (below.get_mut(name), value) {
            (Some(Value::Object(below)), Value::Object(above)) => lay_over(below, above),
            _ => drop(below.insert(name.clone(), value.clone())),
        }
    }
}

fn put_capabilities(object: &mut Map<String, Value>, capabilities: &[String]) {
    if capabilities.is_empty() {
        return;
    }
    let token = object.entry("access_token").or_insert_with(|| json!({}));
    if !token.is_object() {
        *token = json!({});
    }
    token["xms_cc"] = json!({ "values": capabilities });
}

/// One challenge of a `WWW-Authenticate` header (RFC 9110 11.6.1).
#[derive(Debug, PartialEq)]
struct Challenge {
    scheme: String,
    parameters: Vec<(String, String)>,
}

impl Challenge {
    fn parameter(&self, name: &str) -> Option<&str> {
        self.parameters
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    fn insufficient_claims(&self) -> Option<ClaimsChallenge> {
        let bearer = self.scheme.eq_ignore_ascii_case("bearer") || self.scheme.eq_ignore_ascii_case("pop");
        if !bearer || self.parameter("error") != Some("insufficient_claims") {
            return None;
        }
        let text = decode_either_alphabet(self.parameter("claims")?)?;
        ClaimsChallenge::parse(&text).ok()
    }
}

fn decode_either_alphabet(encoded: &str) -> Option<String> {
    const LENIENT: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let engine = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
    let standard = encoded.replace('-', "+").replace('_', "/");
    String::from_utf8(engine.decode(standard).ok()?).ok()
}

/// A token68 or `name=value` belongs to the challenge whose scheme came last.
fn parse_challenges(header: &str) -> Vec<Challenge> {
    let mut challenges: Vec<Challenge> = Vec::new();
    for item in split_outside_quotes(header) {
        let (scheme, rest) = match item.split_once(char::is_whitespace) {
            Some((word, rest)) if !word.contains('=') && !rest.trim_start().starts_with('=') => {
                (word, rest.trim())
            }
            None if !item.contains('=') => (item, ""),
            _ => ("", item),
        };
        if !scheme.is_empty() {
            challenges.push(Challenge { scheme: scheme.to_owned(), parameters: Vec::new() });
        }
        if let (Some(challenge), Some((name, value))) = (challenges.last_mut(), rest.split_once('=')) {
            challenge.parameters.push((name.trim().to_owned(), unquote(value.trim())));
        }
    }
    challenges
}

fn split_outside_quotes(header: &str) -> Vec<&str> {
    let (mut items, mut start, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (index, character) in header.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ',' if !quoted => {
                items.push(header[start..index].trim());
                start = index + 1;
            }
            _ => {}
        }
    }
    items.push(header[start..].trim());
    items.retain(|item| !item.is_empty());
    items
}

fn unquote(value: &str) -> String {
    let Some(inner) = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return value.to_owned();
    };
    let (mut text, mut escaped) = (String::with_capacity(inner.len()), false);
    for character in inner.chars() {
        if character == '\\' && !escaped {
            escaped = true;
        } else {
            escaped = false;
            text.push(character);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(values: &[&'static str]) -> HeaderMap {
        let values = values.iter().map(|value| (WWW_AUTHENTICATE, http::HeaderValue::from_static(value)));
        values.collect()
    }

    const ENCODED: &str = "eyJhY2Nlc3NfdG9rZW4iOnsibmJmIjp7ImVzc2VudGlhbCI6dHJ1ZX19fQ==";
    const TEXT: &str = r#"{"access_token":{"nbf":{"essential":true}}}"#;

    #[test]
    fn text_that_is_no_challenge_is_named_as_such() {
        for text in ["", "[]", ENCODED] {
            let error = ClaimsChallenge::parse(text).unwrap_err();
            assert!(error.hint().contains("JSON object") && !error.hint().contains("proxy"), "{error}");
        }
    }

    #[test]
    fn challenge_is_found_behind_another_scheme_in_the_same_header() {
        let headers = headers(&[
            r#"Basic realm="a, b=\"c\"", Bearer realm="", error="insufficient_claims", claims="eyJhY2Nlc3NfdG9rZW4iOnsibmJmIjp7ImVzc2VudGlhbCI6dHJ1ZX19fQ==""#,
        ]);
        assert_eq!(ClaimsChallenge::from_www_authenticate(&headers).unwrap().as_str(), TEXT);
    }

    #[test]
    fn challenge_is_found_in_a_second_header() {
        let headers = headers(&[
            "Negotiate",
            "bearer error=insufficient_claims, claims=eyJhY2Nlc3NfdG9rZW4iOnsibmJmIjp7ImVzc2VudGlhbCI6dHJ1ZX19fQ",
        ]);
        assert_eq!(ClaimsChallenge::from_www_authenticate(&headers).unwrap().as_str(), TEXT);
    }

    #[test]
    fn other_errors_are_no_challenge() {
        let headers = headers(&[r#"Bearer error="invalid_token", claims="e30=""#]);
        assert!(ClaimsChallenge::from_www_authenticate(&headers).is_none());
    }

    #[test]
    fn padding_may_be_missing() {
        assert_eq!(decode_either_alphabet(ENCODED.trim_end_matches('=')).as_deref(), Some(TEXT));
    }

    #[test]
    fn only_an_object_is_a_challenge() {
        for text in ["[]", "null", "1", "{", "", "\"{}\""] {
            assert!(ClaimsChallenge::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn capabilities_enter_the_access_token_member() {
        let challenge =
            ClaimsChallenge::parse(r#"{"access_token":{"nbf":1,"xms_cc":2},"id_token":{}}"#).unwrap();
        let expected = r#"{"access_token":{"nbf":1,"xms_cc":{"values":["cp1"]}},"id_token":{}}"#;
        assert_eq!(merged(Some(&challenge), &["cp1".to_owned()]).as_deref(), Some(expected));
    }

    #[test]
    fn without_capabilities_the_text_is_sent_as_it_came() {
        let challenge = ClaimsChallenge::parse(r#"{ "b" : 1 }"#).unwrap();
        assert_eq!(merged(Some(&challenge), &[]).as_deref(), Some(r#"{ "b" : 1 }"#));
    }

    #[test]
    fn forwarded_claims_are_laid_over_challenge_and_capabilities() {
        let parse = |text: &str| ClaimsChallenge::parse(text).unwrap();
        let challenge = parse(r#"{"access_token":{"nbf":{"essential":true},"a":1}}"#);
        let forwarded = parse(r#"{"access_token":{"a":2},"id_token":{"b":null}}"#);
        let found = merged_with(Some(&challenge), &["cp1".to_owned()], Some(&forwarded)).unwrap();
        let expected = r#"{"access_token":{"nbf":{"essential":true},"a":2,"xms_cc":{"values":["cp1"]}},"id_token":{"b":null}}"#;
        assert_eq!(found, expected);
        assert_eq!(merged_with(None, &[], Some(&forwarded)).as_deref(), Some(forwarded.as_str()));
    }

    #[test]
    fn challenge_of_the_longest_text_is_still_there_when_others_are_laid_over_it() {
        let start = r#"{"access_token":{"nbf":""#;
        let long = "x".repeat(LONGEST - start.len() - 3);
        let challenge = ClaimsChallenge::parse(&format!("{start}{long}\"}}}}")).unwrap();
        assert_eq!(challenge.as_str().len(), LONGEST);
        let forwarded = ClaimsChallenge::parse(r#"{"id_token":{"b":null}}"#).unwrap();
        let found = merged_with(Some(&challenge), &["cp1".to_owned()], Some(&forwarded)).unwrap();
        let found: Value = serde_json::from_str(&found).unwrap();
        assert_eq!(found["access_token"]["nbf"], long);
        assert_eq!(found["access_token"]["xms_cc"]["values"][0], "cp1");
        assert!(found["id_token"]["b"].is_null());
    }

    #[test]
    fn url_safe_alphabet_is_decoded() {
        // `{"a":"~~?"}` has both special characters of the alphabet.
        for encoded in ["eyJhIjoifn4_In0", "eyJhIjoifn4/In0=", "eyJhIjoifn4/In0"] {
            assert_eq!(decode_either_alphabet(encoded).as_deref(), Some(r#"{"a":"~~?"}"#), "{encoded}");
        }
    }

    #[test]
    fn unreadable_challenge_does_not_hide_the_next() {
        let headers = headers(&[
            r#"Bearer error="insufficient_claims", claims="!!!", Bearer error="insufficient_claims", claims="e30""#,
        ]);
        assert_eq!(ClaimsChallenge::from_www_authenticate(&headers).unwrap().as_str(), "{}");
    }
}
