//! Walking over all keys, and over all masters.
//!
//! A server's own cursor means something to the process that gave it, and to no other: one that took its place, or started
//! again, keeps its keys in another order. In a Cluster a slot that moves from a master not visited yet to one that was, takes its
//! keys past the walk. Either would miss records without a word, so a walk that meets it ends with an error and is begun again.

use redis::{Pipeline, RedisResult, Value};

use super::connection::{Connection, Node};
use super::link::unexpected;
use super::view::{self, View};
use crate::store::Cursor;

/// What one step of a walk brings.
pub(super) enum Step {
    /// Keys, and where to go on.
    Page(Vec<String>, Option<Cursor>),
    /// The walk has lost its way, for this reason, and must be begun again.
    Lost(&'static str),
}

const ANOTHER_SERVER: &str =
    "Redis was started again or failed over during a walk over all records: it must be begun again";
const ANOTHER_MAP: &str =
    "slots moved in the Redis Cluster during a walk over all records: it must be begun again";
const MOVING: &str = "the Redis Cluster is moving slots: a walk over all records would miss some";
const NO_AGREEMENT: &str = "the masters of the Redis Cluster do not agree about its slots yet";

/// Where a walk is.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Place {
    node: Node,
    /// The process that gave the position; none where the walk comes to the node only now.
    process: Option<String>,
    /// The Cluster's map when the walk began.
    map: Option<String>,
    position: String,
}

impl Place {
    fn start(node: Node, map: Option<String>) -> Self {
        Self { node, process: None, map, position: "0".to_owned() }
    }

    fn parse(cursor: &Cursor) -> Option<Self> {
        let mut parts = cursor.as_str().split(' ');
        let (node, process, map, position) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let known = |text: &str| (text != "-").then(|| text.to_owned());
        let node = Node::parse(node).filter(|_| parts.next().is_none())?;
        Some(Self { node, process: known(process), map: known(map), position: position.to_owned() })
    }

    fn cursor(&self) -> Cursor {
        let Self { node, process, map, position } = self;
        let text = |part: &Option<String>| part.clone().unwrap_or_else(|| "-".to_owned());
        Cursor::new(format!("{node} {} {} {position}", text(process), text(map)))
    }
}

/// Keys of the next page and where to go on.
pub(super) async fn page(
    connection: Connection,
    pattern: &str,
    cursor: Option<&Cursor>,
    limit: usize,
) -> RedisResult<Step> {
    let place = match cursor {
        Some(cursor) => Place::parse(cursor).ok_or_else(|| unexpected("a cursor of another store"))?,
        None => match next_master(&connection, None).await? {
            Ok(Some(first)) => first,
            Ok(None) => return Ok(Step::Page(Vec::new(), None)),
            Err(lost) => return Ok(Step::Lost(lost)),
        },
    };
    let mut questions = Pipeline::new();
    questions.cmd("SCAN").arg(&place.position).arg("MATCH").arg(pattern);
    questions.arg("COUNT").arg(limit).arg("TYPE").arg("string");
    questions.cmd("INFO").arg("server");
    if place.map.is_some() {
        questions.add_command(view::question());
    }
    let mut answers = connection.clone().ask_node(&place.node, questions).await?.into_iter();
    let mut answer = || answers.next().ok_or_else(|| unexpected("fewer answers than questions"));
    let (position, keys): (String, Vec<String>) = redis::from_redis_value(answer()?)?;
    let process = process(&redis::from_redis_value::<String>(answer()?)?);
    let view = match place.map {
        Some(_) => Some(View::parse(&redis::from_redis_value::<String>(answer()?)?)),
        None => None,
    };
    if let Some(lost) = lost(&place, &process, view.as_ref()) {
        return Ok(Step::Lost(lost));
    }
    if position != "0" {
        let next = Place { process: Some(process), position, ..place };
        return Ok(Step::Page(keys, Some(next.cursor())));
    }
    Ok(match next_master(&connection, Some(&place)).await? {
        Ok(next) => Step::Page(keys, next.map(|next| next.cursor())),
        Err(lost) => Step::Lost(lost),
    })
}

/// Why a walk that came by `place` cannot go on, if so.
fn lost(place: &Place, process: &str, view: Option<&View>) -> Option<&'static str> {
    if place.process.as_ref().is_some_and(|before| before != process) {
        return Some(ANOTHER_SERVER);
    }
    let (Some(map), Some(view)) = (&place.map, view) else { return None };
    if view.map != *map {
        return Some(ANOTHER_MAP);
    }
    view.is_moving.then_some(MOVING)
}

/// The process a server is: another one after each start.
fn process(info: &str) -> String {
    let id = info.lines().find_map(|line| line.strip_prefix("run_id:")).unwrap_or_default().trim();
    if id.is_empty() { "unnamed".to_owned() } else { id.to_owned() }
}

/// The master that comes after `place` in the order of addresses, the first without one; or why the walk is lost.
async fn next_master(
    connection: &Connection,
    place: Option<&Place>,
) -> RedisResult<Result<Option<Place>, &'static str>> {
    let masters = connection.masters().await?;
    let map = masters.iter().find_map(|(_, view)| Some(view.as_ref()?.map.clone()));
    if !agree(&masters) {
        return Ok(Err(if place.is_some() { ANOTHER_MAP } else { NO_AGREEMENT }));
    }
    if place.is_some_and(|place| place.map != map) {
        return Ok(Err(ANOTHER_MAP));
    }
    let after = |node: &Node| place.is_none_or(|place| *node > place.node);
    let next = masters.into_iter().map(|(node, _)| node).filter(after).min();
    Ok(Ok(next.map(|node| Place::start(node, map))))
}

/// Whether all masters see the same masters, and all of those were asked.
fn agree(masters: &[(Node, Option<View>)]) -> bool {
    let views: Vec<&View> = masters.iter().filter_map(|(_, view)| view.as_ref()).collect();
    let Some(first) = views.first() else { return true };
    let asked = |id: &String| views.iter().any(|view| view.own == *id);
    views.iter().all(|view| view.map == first.map) && first.masters.iter().all(asked)
}

/// Keys a count looks at to learn how many of all keys are records.
const SAMPLE: u32 = 1000;

/// About how many keys match, over all masters: all keys, times the share of records in a sample of the first master's.
pub(super) async fn count(connection: Connection, pattern: &str) -> RedisResult<u64> {
    let (mut keys, mut share) = (0.0, None);
    for (master, _) in connection.masters().await? {
        let mut questions = Pipeline::new();
        questions.cmd("DBSIZE");
        if share.is_none() {
            questions.cmd("SCAN").arg(0).arg("MATCH").arg(pattern);
            questions.arg("COUNT").arg(SAMPLE).arg("TYPE").arg("string");
        }
        let mut answers = connection.clone().ask_node(&master, questions).await?.into_iter();
        let size: u32 = redis::from_redis_value(answers.next().unwrap_or(Value::Int(0)))?;
        keys += f64::from(size);
        if let Some(sample) = answers.next().filter(|_| size > 0) {
            let (_, met): (String, Vec<String>) = redis::from_redis_value(sample)?;
            share = Some(f64::from(u32::try_from(met.len()).unwrap_or(SAMPLE)) / f64::from(size.min(SAMPLE)));
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn node(port: u16) -> Node {
        Node::At("10.0.0.1".to_owned(), port)
    }

    fn view(own: &str, map: &str) -> Option<View> {
        let masters = vec!["a".to_owned(), "b".to_owned()];
        Some(View { map: map.to_owned(), masters, own: own.to_owned(), is_moving: false })
    }

    #[test]
    fn a_place_is_read_as_it_was_written() {
        let middle = Place {
            node: node(1),
            process: Some("p".to_owned()),
            map: Some("m".to_owned()),
            position: "7".to_owned(),
        };
        for place in [middle, Place::start(Node::Only, None), Place::start(node(2), Some("m".to_owned()))] {
            assert_eq!(Place::parse(&place.cursor()), Some(place));
        }
        for other in ["", "c_00ff", "- 5", "- - - 5 5", ":1 - - 5"] {
            assert_eq!(Place::parse(&Cursor::new(other)), None, "{other}");
        }
    }

    #[test]
    fn a_walk_is_lost_with_its_process_its_map_and_while_slots_move() {
        let place = Place { process: Some("p".to_owned()), ..Place::start(node(1), Some("m".to_owned())) };
        let same = view("a", "m");
        assert_eq!(lost(&place, "p", same.as_ref()), None);
        assert_eq!(lost(&place, "q", same.as_ref()), Some(ANOTHER_SERVER));
        assert_eq!(lost(&place, "p", view("a", "n").as_ref()), Some(ANOTHER_MAP));
        let moving = same.map(|view| View { is_moving: true, ..view });
        assert_eq!(lost(&place, "p", moving.as_ref()), Some(MOVING));
        // Where the walk comes to a node only now, any process will do.
        assert_eq!(lost(&Place::start(Node::Only, None), "q", None), None);
    }

    #[test]
    fn masters_that_disagree_or_were_not_all_asked_are_told() {
        assert!(agree(&[(Node::Only, None)]));
        assert!(agree(&[(node(1), view("a", "m")), (node(2), view("b", "m"))]));
        assert!(!agree(&[(node(1), view("a", "m")), (node(2), view("b", "n"))]));
        assert!(!agree(&[(node(1), view("a", "m"))]), "b was not asked");
    }
}
