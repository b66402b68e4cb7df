//! A packed block of every kind. Its frame is made right half of the time, so that the entries are
//! reached. What is accepted must come out again whole: every byte of the block is accounted for.
#![no_main]

use libfuzzer_sys::fuzz_target;
use replica_shim::rdb::{Decoder, Item};
use replica_shim::text::Text;

/// Types with a blob, and whether it is a listpack.
const KINDS: [(u8, bool); 9] = [
    (20, true),
    (16, true),
    (17, true),
    (23, true),
    (10, false),
    (12, false),
    (13, false),
    (11, false),
    (9, false),
];

fn text_bytes(text: Text<'_>) -> usize {
    match text {
        Text::Bytes(bytes) => bytes.len(),
        Text::Int(_) => 0,
        Text::Long { len, .. } => usize::try_from(len).expect("it was in memory"),
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((&choice, content)) = data.split_first() else {
        return;
    };
    let (kind, is_listpack) = KINDS[usize::from(choice >> 1) % KINDS.len()];
    let mut blob = content.to_vec();
    if choice & 1 == 1 && blob.len() >= 7 {
        let total = u32::try_from(blob.len()).expect("inputs are small");
        let last = blob.len() - 1;
        blob[last] = 0xff;
        if kind != 11 && kind != 9 {
            blob[..4].copy_from_slice(&total.to_le_bytes());
            let count = if is_listpack { 4 } else { 8 };
            if blob.len() > count + 2 {
                blob[count..count + 2].fill(0xff);
            }
        }
    }
    let mut bytes = b"REDIS0012".to_vec();
    bytes.extend([kind, 1, b'k', 0x80]);
    bytes.extend(
        u32::try_from(blob.len())
            .expect("inputs are small")
            .to_be_bytes(),
    );
    bytes.extend(&blob);
    let (mut elements, mut content, mut ends) = (0_usize, 0_usize, 0);
    let mut sink = |item: Item<'_>| match item {
        Item::Element(text) | Item::Scored { member: text, .. } => {
            elements += 1;
            content += text_bytes(text);
        }
        Item::Field { field, value, .. } => {
            elements += 1;
            content += text_bytes(field) + text_bytes(value);
        }
        Item::ObjectEnd(end) => {
            assert_eq!(end.elements, elements as u64);
            ends += 1;
        }
        _ => {}
    };
    if Decoder::new(1).feed(&bytes, &mut sink).is_ok() {
        assert_eq!(ends, 1);
        assert!(elements + content <= blob.len());
    } else {
        assert_eq!(ends, 0);
    }
});
