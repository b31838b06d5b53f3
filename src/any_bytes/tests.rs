//! Some bytes each time: logs of real servers and what is written here, cut and changed in a few places.
//! `PROPTEST_CASES=100000 cargo test --lib any_bytes` tries more.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::*;

/// How much of a log is tried at once.
const PIECE: usize = 2048;

const WRITTEN: &[&str] = &[
    "kreplay1 12 BAAAAAA(20)A/",
    "1 (3)/",
    "9223372036854775807 (1000)/(99999999999)A(1000)/",
    "postgresql-2026-11-30.csv:12345",
    "select * from t where a = 1\nupdate t set b = $1 where a = $2\t5\t7\nprepare p as select b from t\nexecute p\n",
    "begin\nsavepoint s\ninsert into t values (1, 2)\nrollback to s\ncommit\nset search_path = x, y\n",
    "create temp table u (a int)\nwith x as (delete from t returning a) select x.a from x, t for update\n",
    "execute p/q: select 1",
    "parameters: $1 = 'a''b', $2 = NULL",
    "{\"timestamp\":\"2026-01-01 00:00:00.000 UTC\",\"session_id\":\"1.2\",\"message\":\"statement: select 1\"}",
];

/// What servers say, as messages.
fn said() -> Vec<Vec<u8>> {
    let message = |tag: u8, body: &[u8]| {
        let length = (body.len() as u32 + 4).to_be_bytes();
        [&[tag][..], &length, body].concat()
    };
    let ready = message(b'Z', b"I");
    let error = message(b'E', b"SERROR\0VERROR\0C42601\0Msyntax\0\0");
    vec![
        [message(b'K', &[0; 8]), ready.clone(), message(b'C', b"SELECT 1\0"), ready.clone()]
            .concat(),
        [ready.clone(), message(b'1', b""), message(b'2', b""), error, ready.clone()].concat(),
        [ready.clone(), message(b'G', &[0, 0, 0]), ready.clone()].concat(),
        [ready, message(b'N', b"SLOG\0Mduration: 1.5 ms\0\0"), message(b'S', b"a\0b\0")].concat(),
    ]
}

fn samples() -> Vec<Vec<u8>> {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data");
    let files = ["15-A-errors.csv", "15-A-nodepg.csv", "12-B-psql.csv"];
    let logs = files.map(|file| std::fs::read(format!("{directory}/{file}")).expect("a log"));
    let pieces = logs.iter().flat_map(|log| log.chunks(PIECE).take(8)).map(<[u8]>::to_vec);
    let written = WRITTEN.iter().map(|text| text.as_bytes().to_vec());
    pieces.chain(written).chain(said()).collect()
}

/// Bytes that mean something somewhere.
fn byte() -> impl Strategy<Value = u8> {
    prop_oneof![any::<u8>(), select(b"\"',\n\r\\:;()/A0 \0\xff$t".to_vec())]
}

proptest! {
    #[test]
    fn whatever_comes_from_outside_is_read_without_a_panic(
        mut bytes in select(samples()),
        changes in vec((any::<Index>(), byte(), any::<bool>()), 0..6),
        from in any::<Index>(),
        is_cut in any::<bool>(),
    ) {
        for (at, byte, is_added) in changes {
            let at = at.index(bytes.len());
            match is_added {
                true => bytes.insert(at, byte),
                false => bytes[at] = byte,
            }
        }
        let from = if is_cut { from.index(bytes.len()) } else { 0 };
        for (_, holds) in TARGETS {
            holds(&bytes[from..]);
        }
    }
}

#[test]
fn every_target_has_its_program_and_the_other_way_round() {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz");
    let read = |file: &str| std::fs::read_to_string(format!("{directory}/{file}")).expect("a file");
    let (manifest, readme) = (read("Cargo.toml"), read("README.md"));
    for (name, _) in TARGETS {
        assert!(manifest.contains(&format!("name = \"{name}\"")), "{name}");
        assert!(readme.contains(&format!("`{name}`")), "{name}");
        let program = read(&format!("fuzz_targets/{name}.rs"));
        assert!(program.contains(&format!("any_bytes::{name}(")), "{name}");
    }
    let programs = std::fs::read_dir(format!("{directory}/fuzz_targets")).expect("programs");
    assert_eq!(programs.count(), TARGETS.len());
}
