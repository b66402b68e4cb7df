//! The catalogue as people read it.

use std::path::Path;

/// `proxy/ADVICE.md` is what the registry says: `KEYSCAPE_WRITE=1 cargo test -p analyzer --test advice`
/// writes it anew.
#[test]
fn the_document_is_the_catalogue() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../proxy/ADVICE.md");
    let text = analyzer::advice::document();
    if std::env::var_os("KEYSCAPE_WRITE").is_some() {
        std::fs::write(&path, &text).expect("a writable tree");
    }
    let shown = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = shown.lines().zip(text.lines()).find(|(a, b)| a != b);
    assert_eq!(differs, None);
    assert_eq!(shown.len(), text.len(), "{}", path.display());
}
