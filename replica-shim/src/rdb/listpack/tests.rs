#![expect(
    clippy::cast_possible_truncation,
    reason = "test data is small, or cut on purpose"
)]

use super::*;

/// A listpack with a header for this content, ended.
fn frame(count: u16, content: &[u8]) -> Vec<u8> {
    let total = u32::try_from(content.len() + 7).expect("small");
    let mut blob = total.to_le_bytes().to_vec();
    blob.extend(count.to_le_bytes());
    blob.extend_from_slice(content);
    blob.push(END);
    blob
}

fn walk(blob: &[u8]) -> Result<Vec<Entry<'_>>, ErrorKind> {
    let mut walk = Listpack::open(blob)?;
    let mut entries = Vec::new();
    while let Some(entry) = walk.next()? {
        entries.push(entry);
    }
    Ok(entries)
}

fn check(content: &[u8], expected: Entry<'_>) {
    assert_eq!(walk(&frame(1, content)), Ok(vec![expected]), "{content:?}");
}

fn damaged(blob: &[u8], expected: PackFault) {
    assert_eq!(walk(blob), Err(fault(expected)), "{blob:?}");
}

#[test]
fn integers() {
    for (content, number) in [
        (&b"\x00\x01"[..], 0),
        (b"\x7f\x01", 127),
        (b"\xc0\x80\x02", 128),
        (b"\xcf\xff\x02", 4095),
        (b"\xd0\x00\x02", -4096),
        (b"\xdf\xff\x02", -1),
        (b"\xf1\x00\x80\x03", -32_768),
        (b"\xf2\xff\xff\x7f\x04", 8_388_607),
        (b"\xf2\x00\x00\x80\x04", -8_388_608),
        (b"\xf3\x00\x00\x00\x80\x05", -2_147_483_648),
        (b"\xf4\x00\x00\x00\x00\x00\x00\x00\x80\x09", i64::MIN),
    ] {
        check(content, Entry::Int(number));
    }
}

/// A string entry whose backward length takes this many bytes.
fn string_entry(bytes: &[u8], groups: usize) -> Vec<u8> {
    let len = bytes.len();
    let mut content = match len {
        0..64 => vec![0x80 | len as u8],
        64..4096 => vec![0xe0 | (len >> 8) as u8, len as u8],
        _ => [&[0xf0][..], &(len as u32).to_le_bytes()].concat(),
    };
    content.extend(bytes);
    let size = content.len();
    for group in (0..groups).rev() {
        let mark = if group + 1 == groups { 0 } else { 0x80 };
        content.push((size >> (7 * group) & 0x7f) as u8 | mark);
    }
    content
}

/// Strings at every border of the length forms and of the backward length.
#[test]
fn strings() {
    for (len, groups) in [
        (0, 1),
        (1, 1),
        (63, 1),
        (64, 1),
        (125, 1),
        (126, 2),
        (4095, 2),
        (4096, 2),
        (16_377, 2),
        (16_379, 3),
        (2_097_145, 3),
        (2_097_147, 4),
    ] {
        let bytes = vec![b's'; len];
        check(&string_entry(&bytes, groups), Entry::Bytes(&bytes));
        damaged(
            &frame(1, &string_entry(&bytes, groups + 1)),
            PackFault::Backward,
        );
    }
}

/// Valkey 9.1 writes a byte less at these sizes than all others (valkey-io/valkey pull request 3601):
/// a file of it was refused, since only the longer form was known.
#[test]
fn backward_lengths_at_the_borders_have_two_forms() {
    for (len, groups) in [(16_378, 2), (2_097_146, 3)] {
        let bytes = vec![b's'; len];
        for groups in [groups, groups + 1] {
            check(&string_entry(&bytes, groups), Entry::Bytes(&bytes));
        }
        damaged(
            &frame(1, &string_entry(&bytes, groups + 2)),
            PackFault::Backward,
        );
    }
}

#[test]
fn frames() {
    assert_eq!(walk(&frame(0, b"")), Ok(vec![]));
    assert_eq!(walk(&frame(u16::MAX, b"\x05\x01")), Ok(vec![Entry::Int(5)]));
    damaged(b"", PackFault::Header);
    damaged(b"\x06\x00\x00\x00\x00", PackFault::Header);
    damaged(b"\x06\x00\x00\x00\x00\x00", PackFault::EndMark);
    damaged(b"\x08\x00\x00\x00\x00\x00\xff", PackFault::Total);
    damaged(b"\x07\x00\x00\x00\x00\x00\xfe", PackFault::EndMark);
    damaged(&frame(2, b"\x05\x01"), PackFault::Count);
    damaged(&frame(0, b"\x05\x01"), PackFault::Count);
}

#[test]
fn entries() {
    for (content, expected) in [
        (&b"\x05\x02"[..], PackFault::Backward),
        (b"\x05", PackFault::Backward),
        (b"\x81a\x03", PackFault::Backward),
        (b"\x82a", PackFault::Overrun),
        (b"\xbfa", PackFault::Overrun),
        (b"\xe0", PackFault::Overrun),
        (b"\xf0\xff\xff\xff\xff", PackFault::Overrun),
        (b"\xf1\x00", PackFault::Overrun),
        (b"\xf4\x00\x00", PackFault::Overrun),
        (b"\xf5\x01", PackFault::Encoding(0xf5)),
        (b"\xfe\x01", PackFault::Encoding(0xfe)),
        (b"\xff\x05\x01", PackFault::EndMark),
        // Swallows the end mark.
        (b"\x81", PackFault::Overrun),
    ] {
        damaged(&frame(1, content), expected);
    }
}
