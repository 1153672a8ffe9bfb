//! A real Chromium without a window, driven over its debugging protocol: as much of it as the tests of the pages need.

use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use dev::child::{Child, Spec};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{self, Message, WebSocket};

use crate::until::{PATIENCE, until};

/// A running browser; it ends with the test.
pub struct Browser {
    _child: Child,
    address: String,
}

impl Browser {
    /// Why there is none on this machine.
    #[must_use]
    pub fn lacks() -> Option<String> {
        dev::tools::browser().is_none().then(|| "no Chromium or Chrome on this machine".to_owned())
    }

    /// Starts one with its files in `dir`.
    ///
    /// # Panics
    /// When it does not come up.
    #[must_use]
    pub fn start(dir: &Path) -> Self {
        let program = dev::tools::browser().expect("the test needs a browser");
        let profile = dir.join("browser");
        let mut spec = Spec::new("browser", &program, &dir.join("browser.log"));
        let switches = "--headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run --hide-scrollbars \
                        --disable-background-networking --disable-component-update --disable-extensions \
                        --remote-debugging-port=0";
        spec.arguments = switches.split_whitespace().map(str::to_owned).collect();
        spec.arguments.push(format!("--user-data-dir={}", profile.display()));
        spec.arguments.push("about:blank".into());
        spec.grace = Duration::from_secs(2);
        let mut child = Child::start(spec).unwrap_or_else(|error| panic!("browser: {error}"));
        let address = until("the browser listens", PATIENCE, || {
            if child.exit().is_some() {
                panic!("{}", child.ended_error());
            }
            let text =
                std::fs::read_to_string(profile.join("DevToolsActivePort")).map_err(|error| error.to_string())?;
            let (port, path) = text.split_once('\n').ok_or("half a file")?;
            Ok(format!("ws://127.0.0.1:{port}{path}"))
        });
        Self { _child: child, address }
    }

    /// Opens a page of this size in a tab of its own.
    ///
    /// # Panics
    /// When it cannot.
    #[must_use]
    pub fn open(&self, url: &str, size: (u32, u32)) -> Page {
        let mut page = self.blank(size);
        page.go(url);
        page
    }

    /// A tab of this size without a page.
    ///
    /// # Panics
    /// When it cannot be had.
    #[must_use]
    pub fn blank(&self, size: (u32, u32)) -> Page {
        let host = self.address.trim_start_matches("ws://").split('/').next().expect("a host");
        let stream = TcpStream::connect(host).expect("the browser accepts connections");
        stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout");
        let (socket, _) = tungstenite::client(&self.address, stream).expect("the upgrade");
        let mut page = Page { socket, session: None, calls: 0, complaints: Vec::new(), asked: Vec::new() };
        let target = page.call("Target.createTarget", &json!({"url": "about:blank", "newWindow": true}));
        let attach = json!({"targetId": target["targetId"], "flatten": true});
        let session = page.call("Target.attachToTarget", &attach);
        page.session = session["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page.enable", "Runtime.enable", "Log.enable", "Network.enable"] {
            page.call(domain, &json!({}));
        }
        // Each tab has the keyboard, as if its window were in front.
        page.call("Emulation.setFocusEmulationEnabled", &json!({"enabled": true}));
        page.resize(size);
        page
    }
}

/// What the browser says of an expression whose page went away meanwhile.
const NAVIGATED: &str = "Inspected target navigated or closed";

/// An open page.
pub struct Page {
    socket: WebSocket<TcpStream>,
    session: Option<String>,
    calls: u64,
    complaints: Vec<String>,
    asked: Vec<String>,
}

impl Page {
    fn call(&mut self, method: &str, parameters: &Value) -> Value {
        self.calls += 1;
        let mut message = json!({"id": self.calls, "method": method, "params": parameters});
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        self.socket.send(Message::text(message.to_string())).expect("the browser listens");
        loop {
            let Message::Text(text) = self.socket.read().expect("the browser answers") else { continue };
            let answer: Value = serde_json::from_str(&text).expect("each message is JSON");
            if answer["id"].as_u64() == Some(self.calls) {
                // A click that leads to another page may take the page away before it has answered.
                if answer["error"]["message"] == NAVIGATED {
                    return Value::Null;
                }
                assert!(answer["error"].is_null(), "{method}: {}", answer["error"]);
                return answer["result"].clone();
            }
            self.hear(&answer);
        }
    }

    /// Goes to an address and waits until it is loaded.
    ///
    /// # Panics
    /// When it is not in time.
    pub fn go(&mut self, url: &str) {
        self.eval("globalThis.isLeft = true");
        self.call("Page.navigate", &json!({"url": url}));
        self.wait_for("the page is loaded", "document.readyState === 'complete' && !globalThis.isLeft");
    }

    /// Gives the window another size in pixels, as a reader does who zooms or turns the phone.
    pub fn resize(&mut self, (width, height): (u32, u32)) {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600});
        self.call("Emulation.setDeviceMetricsOverride", &size);
    }

    /// Prefers `light` or `dark`, as the reader's system does.
    pub fn prefer(&mut self, scheme: &str) {
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        self.call("Emulation.setEmulatedMedia", &json!({"features": features}));
    }

    /// The pages that come run no script of theirs; [`Page::eval`] still does.
    pub fn without_script(&mut self) {
        self.call("Emulation.setScriptExecutionDisabled", &json!({"value": true}));
    }

    /// Presses the Tab key.
    pub fn tab(&mut self) {
        for what in ["rawKeyDown", "keyUp"] {
            let key = json!({"type": what, "key": "Tab", "code": "Tab", "windowsVirtualKeyCode": 9});
            self.call("Input.dispatchKeyEvent", &key);
        }
    }

    fn hear(&mut self, event: &Value) {
        let parameters = &event["params"];
        match event["method"].as_str() {
            Some("Runtime.exceptionThrown") => {
                self.complaints.push(parameters["exceptionDetails"]["exception"]["description"].to_string());
            }
            Some("Log.entryAdded") if parameters["entry"]["level"] == "error" => {
                self.complaints.push(format!("{} {}", parameters["entry"]["text"], parameters["entry"]["url"]));
            }
            Some("Network.requestWillBeSent") => self.asked.push(text(&parameters["request"]["url"])),
            Some("Network.webSocketCreated") => self.asked.push(text(&parameters["url"])),
            _ => {}
        }
    }

    /// The value of an expression, or of its promise.
    ///
    /// # Panics
    /// When it throws.
    pub fn eval(&mut self, expression: &str) -> Value {
        let asked = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let answer = self.call("Runtime.evaluate", &asked);
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {}", answer["exceptionDetails"]);
        answer["result"]["value"].clone()
    }

    /// The text that people see of the first element that matches; empty if there is none.
    pub fn text(&mut self, selector: &str) -> String {
        let found = self.eval(&format!("document.querySelector({})?.innerText ?? ''", json!(selector)));
        text(&found).split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// An attribute of the first element that matches.
    pub fn attribute(&mut self, selector: &str, name: &str) -> Option<String> {
        let found = self.eval(&format!("document.querySelector({})?.getAttribute({})", json!(selector), json!(name)));
        found.as_str().map(str::to_owned)
    }

    /// Waits until an expression is true.
    ///
    /// # Panics
    /// When it is not in time; then the text of the page is shown.
    pub fn wait_for(&mut self, what: &str, expression: &str) {
        until(what, PATIENCE, || match self.eval(expression) {
            Value::Bool(true) => Ok(()),
            other => Err(format!("{expression} = {other}; the page says:\n{}", self.text("body"))),
        });
    }

    /// What the page complained of: exceptions, refused or missing resources.
    pub fn complaints(&mut self) -> Vec<String> {
        self.eval("1");
        std::mem::take(&mut self.complaints)
    }

    /// All addresses that the page asked for.
    pub fn asked(&mut self) -> Vec<String> {
        self.eval("1");
        self.asked.clone()
    }

    /// Writes a picture of what is seen.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn screenshot(&mut self, path: &Path) {
        let answer = self.call("Page.captureScreenshot", &json!({"format": "png"}));
        let png = from_base64(answer["data"].as_str().expect("a picture"));
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("the folder can be made");
        std::fs::write(path, png).expect("the picture is written");
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn from_base64(text: &str) -> Vec<u8> {
    const ALPHABET: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bytes, mut bits, mut held) = (Vec::with_capacity(text.len() * 3 / 4), 0_u32, 0);
    for letter in text.bytes().filter(|letter| *letter != b'=') {
        let value = ALPHABET.iter().position(|known| *known == letter).expect("base64 has 64 letters");
        bits = bits << 6 | value as u32;
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held) as u8);
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::from_base64;

    #[test]
    fn base64_is_read() {
        assert_eq!(from_base64("aGVsbG8="), b"hello");
        assert_eq!(from_base64("/+8A"), [0xff, 0xef, 0x00]);
    }
}
