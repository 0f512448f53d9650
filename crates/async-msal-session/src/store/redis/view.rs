//! How one node of a Cluster sees it: who is a master of which slots, and whether slots are moving.

use redis::Cmd;

use crate::session_id::sha256_hex;

/// What is asked for a [`View`].
pub(super) fn question() -> Cmd {
    let mut question = redis::cmd("CLUSTER");
    question.arg("NODES");
    question
}

/// The Cluster, as the node sees it that was asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct View {
    /// A hash of all masters with their slots: the same on every node while nothing changes.
    pub(super) map: String,
    /// The names of the masters that have slots.
    pub(super) masters: Vec<String>,
    /// The name of the node that answered.
    pub(super) own: String,
    /// Whether slots move to or from this node now.
    pub(super) is_moving: bool,
}

impl View {
    /// Reads CLUSTER NODES: `id address flags master ping pong epoch link slots..`, where slots that move to or from the node
    /// that answers are in brackets.
    pub(super) fn parse(text: &str) -> Self {
        let mut owners = Vec::new();
        let mut view = Self { map: String::new(), masters: Vec::new(), own: String::new(), is_moving: false };
        for line in text.lines() {
            let fields: Vec<&str> = line.split_ascii_whitespace().collect();
            let [id, _, flags, _, _, _, _, _, slots @ ..] = fields.as_slice() else { continue };
            let mut flags = flags.split(',');
            let (moving, slots): (Vec<&str>, Vec<&str>) =
                slots.iter().partition(|slot| slot.starts_with('['));
            if flags.clone().any(|flag| flag == "myself") {
                (*id).clone_into(&mut view.own);
                view.is_moving = !moving.is_empty();
            }
            if flags.any(|flag| flag == "master") && !slots.is_empty() {
                owners.push(format!("{id} {}", slots.join(" ")));
                view.masters.push((*id).to_owned());
            }
        }
        owners.sort_unstable();
        sha256_hex(owners.join("\n").as_bytes())[..16].clone_into(&mut view.map);
        view
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODES: &str = "\
aa 10.0.0.1:6379@16379 myself,master - 0 1700000000000 1 connected 0-5460
bb 10.0.0.2:6379@16379,host-b master - 0 1700000000001 2 connected 5461-10922 10924
cc 10.0.0.3:6379@16379 master - 0 1700000000002 3 connected 10923 10925-16383
dd 10.0.0.4:6379@16379 slave aa 0 1700000000003 1 connected
ee :0@0 master,noaddr - 1700000000004 1700000000005 0 disconnected
";

    #[test]
    fn all_nodes_that_see_the_same_masters_have_one_map() {
        let view = View::parse(NODES);
        assert_eq!((view.own.as_str(), view.is_moving), ("aa", false));
        assert_eq!(view.masters, ["aa", "bb", "cc"]);
        let mut lines: Vec<&str> = NODES.lines().collect();
        lines.reverse();
        let others = lines.join("\n").replace("myself,", "").replace("17000", "18000");
        assert_eq!(View::parse(&others).map, view.map);
    }

    #[test]
    fn a_fail_over_and_a_moved_slot_are_another_map() {
        let view = View::parse(NODES);
        let failed_over = NODES.replace("aa 10.0.0.1", "dd 10.0.0.4");
        let moved = NODES.replace(" 10924", "").replace("10923 10925-16383", "10923-16383");
        for other in [failed_over, moved] {
            assert_ne!(View::parse(&other).map, view.map);
        }
    }

    #[test]
    fn a_slot_on_its_way_is_seen_at_both_ends_and_changes_no_map() {
        for mark in ["[5-<-bb]", "[5->-bb]"] {
            let view = View::parse(&NODES.replace("0-5460", &format!("0-5460 {mark}")));
            assert!(view.is_moving);
            assert_eq!(view.map, View::parse(NODES).map);
        }
    }
}
