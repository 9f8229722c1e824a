//! Which requests of the client are which of the server, before the clocks are known.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::{NotJoinable, Sight};
use crate::{
    correlate::{Ends, client_ends, kernel_ends},
    recording::{ClientRow, KernelRow},
};

/// What both sides have in common.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Matched {
    /// Connections of the client, by their four-tuples.
    pub client_connections: usize,
    /// … that the server saw too.
    pub common: usize,
}

/// Matches the four-tuples of both sides, and gives what each answered request of a connection
/// that is known for sure tells of the clocks. Where a four-tuple was used several times, the
/// connections follow one another on both sides; if there are as many of them, they are paired in
/// their order.
///
/// # Errors
/// When no four-tuple is in common: something between the two changes addresses.
pub fn match_hosts(
    client: &[ClientRow],
    kernel: &[KernelRow],
) -> Result<(Matched, Vec<Sight>), NotJoinable> {
    let mut of_clients: HashMap<Ends<'_>, BTreeSet<u64>> = HashMap::new();
    for row in client.iter().filter(|row| row.connected_ns != 0) {
        let begins = of_clients.entry(client_ends(row)).or_default();
        begins.insert(row.connect_start_ns);
    }
    let mut of_servers: HashMap<Ends<'_>, BTreeSet<u64>> = HashMap::new();
    for row in kernel {
        let begins = of_servers.entry(kernel_ends(row)).or_default();
        begins.insert(row.established_ns);
    }
    let common: HashSet<&Ends<'_>> = of_clients
        .keys()
        .filter(|ends| of_servers.contains_key(*ends))
        .collect();
    if common.is_empty() {
        return Err(why_not(&of_clients, &of_servers));
    }
    // The place of a connection among those on its four-tuple.
    let mut requests: HashMap<(Ends<'_>, usize, u32), &KernelRow> = HashMap::new();
    let place = |begins: &BTreeSet<u64>, begin_ns: u64| begins.range(..begin_ns).count();
    for row in kernel.iter().filter(|row| is_sure(row)) {
        let ends = kernel_ends(row);
        if let Some(begins) = of_servers.get(&ends) {
            requests.insert((ends, place(begins, row.established_ns), row.ordinal), row);
        }
    }
    let mut sights = Vec::new();
    for row in client.iter().filter(|row| row.is_ok() && row.sent_ns != 0) {
        let ends = client_ends(row);
        let (Some(ours), Some(theirs)) = (of_clients.get(&ends), of_servers.get(&ends)) else {
            continue;
        };
        if ours.len() != theirs.len() {
            continue;
        }
        let key = (ends, place(ours, row.connect_start_ns), row.ordinal);
        if let Some(kernel) = requests.get(&key) {
            sights.push(Sight::of(row, kernel));
        }
    }
    let matched = Matched {
        client_connections: of_clients.len(),
        common: common.len(),
    };
    Ok((matched, sights))
}

/// Of a connection that stood before the recording began the ordinals are not the client's.
fn is_sure(row: &KernelRow) -> bool {
    row.established_ns != 0 && row.is_whole() && row.pickup_ns != 0 && row.last_send_ns != 0
}

fn why_not(
    client: &HashMap<Ends<'_>, BTreeSet<u64>>,
    server: &HashMap<Ends<'_>, BTreeSet<u64>>,
) -> NotJoinable {
    if client.is_empty() {
        return NotJoinable::Empty("the client");
    }
    if server.is_empty() {
        return NotJoinable::Empty("the server");
    }
    // The example is the most frequent one.
    let most = |texts: Vec<String>| {
        let mut counts: BTreeMap<String, usize> = BTreeMap::new();
        for text in texts {
            *counts.entry(text).or_default() += 1;
        }
        let most = counts.into_iter().max_by_key(|(_, count)| *count);
        most.map_or_else(String::new, |(text, _)| text)
    };
    let place = |address: &str, port: u16| match address.contains(':') {
        true => format!("[{address}]:{port}"),
        false => format!("{address}:{port}"),
    };
    let called = |ends: &Ends<'_>| place(ends.2, ends.3);
    let (client_connections, server_connections) = (client.len(), server.len());
    let called_at: HashSet<String> = server.keys().map(called).collect();
    if !client.keys().any(|ends| called_at.contains(&called(ends))) {
        return NotJoinable::OtherServer {
            called: most(client.keys().map(called).collect()),
            server: most(server.keys().map(called).collect()),
            client_connections,
            server_connections,
        };
    }
    let seen: HashSet<&str> = server.keys().map(|ends| ends.0).collect();
    let from = |ends: &Ends<'_>| ends.0.to_owned();
    if !client.keys().any(|ends| seen.contains(ends.0)) {
        return NotJoinable::OtherClient {
            client: most(client.keys().map(from).collect()),
            seen: most(server.keys().map(from).collect()),
            client_connections,
            server_connections,
        };
    }
    NotJoinable::OtherPorts {
        client: most(client.keys().map(from).collect()),
        server: most(server.keys().map(called).collect()),
        client_connections,
        server_connections,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(port: u16, connect_ns: u64, ordinal: u32) -> ClientRow {
        ClientRow {
            measured: true,
            local_addr: "10.0.0.2".into(),
            local_port: port,
            remote_addr: "10.0.0.1".into(),
            remote_port: 80,
            connect_start_ns: connect_ns,
            connected_ns: connect_ns + 1,
            sent_ns: connect_ns + 2,
            first_byte_ns: connect_ns + 8,
            last_byte_ns: connect_ns + 9,
            ordinal,
            outcome: "ok".into(),
            ..ClientRow::default()
        }
    }

    /// On a clock that is 1000 behind.
    fn kernel(port: u16, established_ns: u64, ordinal: u32) -> KernelRow {
        KernelRow {
            local_addr: "10.0.0.1".into(),
            local_port: 80,
            remote_addr: "10.0.0.2".into(),
            remote_port: port,
            established_ns,
            arrival_ns: established_ns + 3,
            pickup_ns: established_ns + 4,
            first_send_ns: established_ns + 6,
            last_send_ns: established_ns + 6,
            sends: 1,
            ordinal,
            ..KernelRow::default()
        }
    }

    #[test]
    fn requests_are_paired_by_four_tuple_and_ordinal_whatever_the_clocks_say() {
        let clients = [client(1, 5000, 0), client(1, 5000, 1), client(2, 5100, 0)];
        let kernels = [kernel(2, 4100, 0), kernel(1, 4000, 1), kernel(1, 4000, 0)];
        let (matched, sights) = match_hosts(&clients, &kernels).unwrap();
        assert_eq!((matched.client_connections, matched.common), (2, 2));
        assert_eq!(sights.len(), 3);
        assert!(
            sights
                .iter()
                .all(|sight| sight.low_ns <= 1000 && sight.high_ns >= 1000)
        );
    }

    #[test]
    fn a_port_used_again_is_paired_in_order_only_if_both_sides_saw_it_as_often() {
        let clients = [client(1, 5000, 0), client(1, 9000, 0)];
        let both = [kernel(1, 8000, 0), kernel(1, 4000, 0)];
        let (_, sights) = match_hosts(&clients, &both).unwrap();
        assert!(
            sights
                .iter()
                .all(|sight| sight.low_ns <= 1000 && sight.high_ns >= 1000)
        );
        assert_eq!(sights.len(), 2);
        // Which of the two the server saw is not known yet.
        let (matched, sights) = match_hosts(&clients, &both[..1]).unwrap();
        assert_eq!((matched.common, sights.len()), (1, 0));
    }

    #[test]
    fn what_a_loss_touched_or_was_not_answered_says_nothing_of_the_clocks() {
        let clients = [client(1, 5000, 0), client(2, 5000, 0)];
        let mut lost = kernel(1, 4000, 0);
        lost.after_loss = true;
        let mut unanswered = kernel(2, 4000, 0);
        unanswered.last_send_ns = 0;
        let (matched, sights) = match_hosts(&clients, &[lost, unanswered]).unwrap();
        assert_eq!((matched.common, sights.len()), (2, 0));
        // Nor does a connection that stood before the recording began.
        let mut stood = kernel(1, 4000, 0);
        stood.established_ns = 0;
        let (matched, sights) = match_hosts(&clients, &[stood]).unwrap();
        assert_eq!((matched.common, sights.len()), (1, 0));
    }

    #[test]
    fn an_address_that_was_changed_on_the_way_is_named_and_nothing_is_guessed() {
        let clients = [client(1, 5000, 0)];
        let mut through_proxy = kernel(1, 4000, 0);
        through_proxy.local_addr = "10.9.9.9".into();
        assert_eq!(
            match_hosts(&clients, &[through_proxy]).unwrap_err(),
            NotJoinable::OtherServer {
                called: "10.0.0.1:80".into(),
                server: "10.9.9.9:80".into(),
                client_connections: 1,
                server_connections: 1
            }
        );
        let mut masqueraded = kernel(1, 4000, 0);
        masqueraded.remote_addr = "192.0.2.7".into();
        let error = match_hosts(&clients, &[masqueraded]).unwrap_err();
        assert!(
            matches!(&error, NotJoinable::OtherClient { client, seen, .. }
                if client == "10.0.0.2" && seen == "192.0.2.7"),
            "{error:?}"
        );
        let error = match_hosts(&clients, &[kernel(77, 4000, 0)]).unwrap_err();
        assert!(matches!(error, NotJoinable::OtherPorts { .. }), "{error:?}");
        assert_eq!(
            match_hosts(&[], &[kernel(1, 1, 0)]).unwrap_err(),
            NotJoinable::Empty("the client")
        );
        assert_eq!(
            match_hosts(&clients, &[]).unwrap_err(),
            NotJoinable::Empty("the server")
        );
    }
}
