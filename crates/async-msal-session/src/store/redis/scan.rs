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
