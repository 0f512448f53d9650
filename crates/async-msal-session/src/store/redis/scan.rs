//! Walking over all keys, and over all masters.

use redis::{RedisResult, Value};

use super::connection::{Connection, Node};
use super::link::unexpected;
use crate::store::Cursor;

/// Keys of the next page and where to go on.
///
/// A server's own cursor is a number; in a Cluster the node it belongs to stands before it, and the nodes come in the order of
/// their addresses, so that a node that joins or leaves meanwhile does not begin the walk anew.
pub(super) async fn page(
    connection: Connection,
    pattern: &str,
    cursor: Option<&Cursor>,
    limit: usize,
) -> RedisResult<(Vec<String>, Option<Cursor>)> {
    let (node, position) = match cursor.and_then(|cursor| cursor.as_str().split_once(' ')) {
        Some((node, position)) => {
            (Node::parse(node).ok_or_else(|| unexpected("a cursor of another store"))?, position)
        }
        None => match connection.next_master(None).await? {
            Some(first) => (first, "0"),
            None => return Ok((Vec::new(), None)),
        },
    };
    let mut command = redis::cmd("SCAN");
    command.arg(position).arg("MATCH").arg(pattern).arg("COUNT").arg(limit).arg("TYPE").arg("string");
    let answer: Value = connection.clone().ask_node(&node, command).await?;
    let (position, keys): (String, Vec<String>) = redis::from_redis_value(answer)?;
    let next = if position == "0" {
        connection.next_master(Some(&node)).await?.map(|next| (next, position))
    } else {
        Some((node, position))
    };
    Ok((keys, next.map(|(node, position)| Cursor::new(format!("{node} {position}")))))
}

/// Keys a count looks at to learn how many of all keys are records.
const SAMPLE: u32 = 1000;

/// About how many keys match, over all masters: all keys, times the share of records in a sample of the first master's.
pub(super) async fn count(connection: Connection, pattern: &str) -> RedisResult<u64> {
    let (mut keys, mut share) = (0.0, None);
    let mut node = connection.next_master(None).await?;
    while let Some(master) = node {
        let size = connection.clone().ask_node(&master, redis::cmd("DBSIZE")).await?;
        let size: u32 = redis::from_redis_value(size)?;
        keys += f64::from(size);
        if share.is_none() && size > 0 {
            let mut command = redis::cmd("SCAN");
            command.arg(0).arg("MATCH").arg(pattern).arg("COUNT").arg(SAMPLE).arg("TYPE").arg("string");
            let sample = connection.clone().ask_node(&master, command).await?;
            let (_, met): (String, Vec<String>) = redis::from_redis_value(sample)?;
            share = Some(f64::from(u32::try_from(met.len()).unwrap_or(SAMPLE)) / f64::from(size.min(SAMPLE)));
        }
        node = connection.next_master(Some(&master)).await?;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rounded estimate of a count"
    )]
    let about = (keys * share.unwrap_or_default().min(1.0)).round() as u64;
    Ok(about)
}

/// Keys that begin with `prefix` and a hexadecimal digit, in the server's glob language.
pub(super) fn pattern(prefix: &str) -> String {
    let mut pattern = String::with_capacity(prefix.len() + 16);
    for character in prefix.chars() {
        if matches!(character, '*' | '?' | '[' | ']' | '\\' | '^' | '-') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern.push_str("[0-9a-f]*");
    pattern
}
