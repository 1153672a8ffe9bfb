//! Style, font, icon and scripts, embedded in the binary.
//!
//! Invariant: an asset's name carries a hash of all assets, so an answer under a name never changes and may be kept
//! for ever; references between assets use the same names. It never serves a name without the hash.

use std::borrow::Cow;

/// Longest line a cache may hold an asset: a year, the most that HTTP defines.
pub const CACHE_CONTROL: &str = "public, max-age=31536000, immutable";

/// What a request for an asset is answered with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asset {
    /// The content.
    pub bytes: Cow<'static, [u8]>,
    /// Its media type.
    pub content_type: &'static str,
    /// Its entity tag, with quotes.
    pub etag: String,
}

struct File {
    stem: &'static str,
    extension: &'static str,
    body: &'static [u8],
}

const JS: &str = "js";
const FILES: [File; 18] = [
    File { stem: "look", extension: "css", body: include_bytes!("../web/look.css") },
    File { stem: "chart", extension: "css", body: include_bytes!("../web/chart.css") },
    File { stem: "forms", extension: "css", body: include_bytes!("../web/forms.css") },
    File { stem: "wall", extension: "css", body: include_bytes!("../web/wall.css") },
    File { stem: "dashboard", extension: "css", body: include_bytes!("../web/dashboard.css") },
    File { stem: "explorer", extension: "css", body: include_bytes!("../web/explorer.css") },
    File { stem: "audit", extension: "css", body: include_bytes!("../web/audit.css") },
    File { stem: "look", extension: "woff2", body: include_bytes!("../web/look.woff2") },
    File { stem: "licence", extension: "txt", body: include_bytes!("../web/look.woff2.OFL.txt") },
    File { stem: "icon", extension: "svg", body: include_bytes!("../web/icon.svg") },
    File { stem: "format", extension: JS, body: include_bytes!("../web/format.js") },
    File { stem: "chart", extension: JS, body: include_bytes!("../web/chart.js") },
    File { stem: "hover", extension: JS, body: include_bytes!("../web/hover.js") },
    File { stem: "live", extension: JS, body: include_bytes!("../web/live.js") },
    File { stem: "words", extension: JS, body: include_bytes!("../web/words.js") },
    File { stem: "paint", extension: JS, body: include_bytes!("../web/paint.js") },
    File { stem: "page", extension: JS, body: include_bytes!("../web/page.js") },
    File { stem: "wall", extension: JS, body: include_bytes!("../web/wall.js") },
];

/// Hash of all files, FNV-1a.
const HASH: u64 = hash();

const fn hash() -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut file = 0;
    while file < FILES.len() {
        let body = FILES[file].body;
        let mut i = 0;
        while i < body.len() {
            hash = (hash ^ body[i] as u64).wrapping_mul(0x0100_0000_01b3);
            i += 1;
        }
        file += 1;
    }
    hash
}

impl File {
    fn name(&self) -> String {
        format!("{}-{HASH:016x}.{}", self.stem, self.extension)
    }

    fn plain_name(&self) -> String {
        format!("{}.{}", self.stem, self.extension)
    }

    fn content_type(&self) -> &'static str {
        match self.extension {
            "css" => "text/css; charset=utf-8",
            "js" => "text/javascript; charset=utf-8",
            "svg" => "image/svg+xml",
            "woff2" => "font/woff2",
            _ => "text/plain; charset=utf-8",
        }
    }

    /// The body without comments, with its references to other assets under their names here.
    fn bytes(&self) -> Cow<'static, [u8]> {
        let quote = match self.extension {
            "js" => "./",
            "css" => "url(",
            _ => return Cow::Borrowed(self.body),
        };
        let mut text = without_comments(&String::from_utf8_lossy(self.body));
        for file in &FILES {
            text = text.replace(&format!("{quote}{}", file.plain_name()), &format!("{quote}{}", file.name()));
        }
        Cow::Owned(text.into_bytes())
    }
}

/// Scripts and styles without the lines that are comments and without indentation: a quarter of what is sent, and nobody's
/// browser reads it.
fn without_comments(text: &str) -> String {
    let (mut out, mut inside) = (String::with_capacity(text.len()), false);
    for line in text.lines().map(str::trim) {
        let begins = !inside && line.starts_with("/*");
        if inside || begins {
            inside = !line.ends_with("*/");
        } else if !line.is_empty() && !line.starts_with("//") {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}

/// The asset under a name such as `look-8a3f….css`, the last part of [`href`]'s address.
#[must_use]
pub fn asset(name: &str) -> Option<Asset> {
    let file = FILES.iter().find(|file| file.name() == name)?;
    Some(Asset { bytes: file.bytes(), content_type: file.content_type(), etag: format!("\"{HASH:016x}\"") })
}

/// The address of an asset known by its plain name, such as `look.css`.
#[must_use]
pub fn href(plain_name: &str) -> String {
    match plain_name.split_once('.') {
        Some((stem, extension)) => format!("/assets/{stem}-{HASH:016x}.{extension}"),
        None => format!("/assets/{plain_name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_is_served_under_its_address_and_no_other() {
        for file in &FILES {
            let address = href(&file.plain_name());
            let name = address.strip_prefix("/assets/").expect("under /assets/");
            let asset = asset(name).expect("known");
            assert!(!asset.bytes.is_empty(), "{name}");
            assert!(super::asset(&file.plain_name()).is_none(), "no name without a hash");
        }
        assert!(asset("../Cargo.toml").is_none());
    }

    #[test]
    fn comments_are_left_out_and_nothing_else() {
        let text = "/* a\n b */\nx {\n  /** c */\n  y: 'd // e'; /* f */\n\n  // g\n}\n";
        assert_eq!(without_comments(text), "x {\ny: 'd // e'; /* f */\n}\n");
        for file in FILES.iter().filter(|file| file.extension == JS) {
            let text = String::from_utf8_lossy(file.body);
            // A text over several lines would lose its indentation.
            assert!(text.lines().all(|line| line.matches('`').count() % 2 == 0), "{}", file.plain_name());
        }
    }

    #[test]
    fn references_between_assets_lead_to_assets() {
        for file in &FILES {
            let bytes = file.bytes();
            let Ok(text) = std::str::from_utf8(&bytes) else { continue };
            let imports = text.split("from \"./").skip(1).filter_map(|rest| rest.split('"').next());
            let urls = text.split("src: url(").skip(1).filter_map(|rest| rest.split(')').next());
            for name in imports.chain(urls) {
                assert!(asset(name).is_some(), "{} refers to {name}", file.plain_name());
            }
        }
        let style = FILES[0].bytes();
        assert!(String::from_utf8_lossy(&style).contains(&format!("look-{HASH:016x}.woff2")));
    }
}
