use super::*;

/// A ziplist with this tail offset, count and content, ended.
fn frame(tail: u32, count: u16, content: &[u8]) -> Vec<u8> {
    let total = u32::try_from(content.len() + 11).expect("small");
    let mut blob = total.to_le_bytes().to_vec();
    blob.extend(tail.to_le_bytes());
    blob.extend(count.to_le_bytes());
    blob.extend_from_slice(content);
    blob.push(END);
    blob
}

fn walk(blob: &[u8]) -> Result<Vec<Entry<'_>>, ErrorKind> {
    let mut walk = Ziplist::open(blob)?;
    let mut entries = Vec::new();
    while let Some(entry) = walk.next()? {
        entries.push(entry);
    }
    Ok(entries)
}

fn damaged(blob: &[u8], expected: PackFault) {
    assert_eq!(walk(blob), Err(fault(expected)), "{blob:?}");
}

#[test]
fn entries_of_each_encoding() {
    let long = vec![b'x'; 300];
    let very_long = vec![b'y'; 20_000];
    for (content, expected) in [
        (&b"\x00\x00"[..], Entry::Bytes(b"")),
        (b"\x00\x02hi", Entry::Bytes(b"hi")),
        (&[b"\x00\x41\x2c", &long[..]].concat(), Entry::Bytes(&long)),
        (
            &[b"\x00\x80\x00\x00\x4e\x20", &very_long[..]].concat(),
            Entry::Bytes(&very_long),
        ),
        (b"\x00\xc0\x00\x80", Entry::Int(-32_768)),
        (b"\x00\xd0\xff\xff\xff\xff", Entry::Int(-1)),
        (
            b"\x00\xe0\x00\x00\x00\x00\x00\x00\x00\x80",
            Entry::Int(i64::MIN),
        ),
        (b"\x00\xf0\x00\x00\x80", Entry::Int(-8_388_608)),
        (b"\x00\xfe\x80", Entry::Int(-128)),
        (b"\x00\xf1", Entry::Int(0)),
        (b"\x00\xfd", Entry::Int(12)),
        // The long form of a small previous size.
        (b"\xfe\x00\x00\x00\x00\xf1", Entry::Int(0)),
    ] {
        assert_eq!(
            walk(&frame(10, 1, content)),
            Ok(vec![expected]),
            "{content:?}"
        );
    }
}

#[test]
fn previous_sizes() {
    let long = vec![b'x'; 300];
    let content = [
        b"\x00\x41\x2c",
        &long[..],
        b"\xfe\x2f\x01\x00\x00\xf2",
        b"\x06\xf3",
    ]
    .concat();
    let expected = vec![Entry::Bytes(&long), Entry::Int(1), Entry::Int(2)];
    assert_eq!(
        walk(&frame(10 + 303 + 6, 3, &content)),
        Ok(expected.clone())
    );
    assert_eq!(walk(&frame(10 + 303 + 6, u16::MAX, &content)), Ok(expected));
    damaged(&frame(10 + 303, 3, &content), PackFault::Tail);
    damaged(&frame(10 + 303 + 6, 2, &content), PackFault::Count);
    damaged(&frame(10, 2, b"\x00\xf1\x03\xf1"), PackFault::Backward);
    damaged(&frame(10, 1, b"\x01\xf1"), PackFault::Backward);
}

#[test]
fn frames() {
    assert_eq!(walk(&frame(10, 0, b"")), Ok(vec![]));
    damaged(b"\x0a\x00\x00\x00\x0a\x00\x00\x00\x00", PackFault::Header);
    damaged(
        b"\x0a\x00\x00\x00\x0a\x00\x00\x00\x00\x00",
        PackFault::EndMark,
    );
    damaged(
        b"\x0c\x00\x00\x00\x0a\x00\x00\x00\x00\x00\xff",
        PackFault::Total,
    );
    damaged(
        b"\x0b\x00\x00\x00\x0a\x00\x00\x00\x00\x00\xfe",
        PackFault::EndMark,
    );
    damaged(&frame(9, 0, b""), PackFault::Tail);
    damaged(&frame(11, 0, b""), PackFault::Tail);
    damaged(&frame(u32::MAX, 1, b"\x00\xf1"), PackFault::Tail);
}

#[test]
fn damage() {
    for (content, expected) in [
        (&b"\x00"[..], PackFault::Encoding(0xff)),
        // Swallows the end mark.
        (b"\x00\x02h", PackFault::EndMark),
        (b"\x00\x3fh", PackFault::Overrun),
        (b"\x00\x40", PackFault::Overrun),
        (b"\x00\x80\xff\xff\xff\xff", PackFault::Overrun),
        (b"\x00\xc0\x00", PackFault::EndMark),
        (b"\x00\xe0\x00", PackFault::Overrun),
        (b"\x00\xc1\x00\x00", PackFault::Encoding(0xc1)),
        (b"\x00\xff", PackFault::Encoding(0xff)),
        (b"\xfe\x00\x00", PackFault::Overrun),
        (b"\xff\x00", PackFault::EndMark),
    ] {
        damaged(&frame(10, 1, content), expected);
    }
}
