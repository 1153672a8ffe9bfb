//! What nobody asks for who means well.

use super::server::{SERVICE, Server};

/// Values of parameters, percent-encoded or broken.
const VALUES: [&str; 22] = [
    "",
    "%00",
    "%ff%fe",
    "%",
    "%zz",
    "%u0041",
    "%3Cscript%3Ealert(1)%3C/script%3E",
    "%22%20onload=%22x",
    "%27%20OR%201=1%20--",
    "%27%3B%20DROP%20TABLE%20cells%3B%20--",
    "-1",
    "0",
    "1e999",
    "18446744073709551616",
    "-9223372036854775809",
    "9999-12-31",
    "0001-01",
    "-262144-01-01T00:00:00Z",
    "+275760-09-13",
    "%F0%9F%92%A9%E2%80%AE%CC%81",
    "..%2f..%2fetc%2fpasswd",
    "a,b,,%2C,a",
];

/// Whether an answer to something hostile is as it must be: no mistake of ours, nothing repeated as markup, nothing of
/// the inside told.
fn is_sound(address: &str, (status, head, body): &(u16, String, String)) {
    assert!([200, 400, 404, 414, 429, 503].contains(status), "{address}: {head}");
    let is_page = head.contains("content-type: text/html");
    assert!(!is_page || !body.contains("<script>alert") && !body.contains("\" onload=\""), "{address} repeats markup");
    for inside in ["DB::Exception", "SELECT ", "panicked", "src/", "127.0.0.1:9"] {
        assert!(!body.contains(inside), "{address} tells {inside}");
    }
    assert!(head.contains("default-src 'self'") && !head.contains("unsafe-inline"), "{address}: {head}");
    assert!(head.contains("x-content-type-options: nosniff"), "{address}: {head}");
}

#[tokio::test]
async fn no_parameter_of_any_address_does_harm() {
    let server = Server::start_with(|config| config.limits.reads_per_minute = 1_000_000).await;
    server.completed(7);
    let (_, description) = server.json("/api/v1/openapi.json").await;
    let long = "x".repeat(5_000);
    let values: Vec<&str> = VALUES.iter().copied().chain([long.as_str()]).collect();
    let mut asked = 0;
    for (path, methods) in description["paths"].as_object().unwrap() {
        let id = if path.starts_with("/departments") {
            "dft"
        } else if path.starts_with("/agencies") {
            "dvla"
        } else {
            SERVICE
        };
        let parameters = methods["get"]["parameters"].as_array().unwrap();
        // Pages read the same parameters; an address without a page is not found.
        for side in ["/api/v1", ""] {
            for value in &values {
                let mut addresses = vec![];
                for name in
                    parameters.iter().filter(|one| one["in"] == "query").map(|one| one["name"].as_str().unwrap())
                {
                    addresses.push(format!("{side}{}?{name}={value}", path.replace("{id}", id)));
                }
                if path.contains("{id}") {
                    addresses.push(format!("{side}{}", path.replace("{id}", value)));
                }
                for address in addresses {
                    is_sound(&address, &server.get(&address).await);
                    asked += 1;
                }
            }
            for name in parameters.iter().filter_map(|one| one["name"].as_str()) {
                let twice = format!("{side}{}?{name}=1&{name}=2", path.replace("{id}", id));
                is_sound(&twice, &server.get(&twice).await);
            }
        }
    }
    assert!(asked > 2_000, "{asked}");
}

#[tokio::test]
async fn nothing_on_a_page_is_inline() {
    let server = Server::start().await;
    server.completed(7);
    let pages = [
        "/",
        "/wall",
        "/services",
        "/compare",
        "/explorer",
        "/govuk",
        "/about-the-data",
        "/departments/dft",
        "/nowhere",
    ];
    let of_service = [format!("/services/{SERVICE}"), format!("/services/{SERVICE}/notes")];
    for page in pages.into_iter().chain(of_service.iter().map(String::as_str)) {
        let (_, _, body) = server.get(page).await;
        for part in body.split("<script").skip(1) {
            let (tag, rest) = part.split_once('>').unwrap();
            assert!(tag.contains("src=\"/assets/") && rest.starts_with("</script>"), "{page}: <script{tag}>");
        }
        assert!(!body.contains(" style=") && !body.contains("<style") && !body.contains("javascript:"), "{page}");
        let handler = |word: &str| word.starts_with("on") && word.contains("=\"");
        let tags = body.split('<').filter_map(|part| part.split('>').next());
        assert_eq!(tags.flat_map(str::split_whitespace).find(|word| handler(word)), None, "{page}");
    }
}
