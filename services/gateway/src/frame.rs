//! WebSocket frames of text, encoded once and shared by all viewers: server frames carry no mask, so the bytes on the
//! wire are the same for everybody (RFC 6455, 5.2).

use bytes::{BufMut as _, Bytes, BytesMut};

/// A whole unfragmented text frame.
#[must_use]
pub fn text(payload: &str) -> Bytes {
    const FINAL_TEXT: u8 = 0x81;
    let mut frame = BytesMut::with_capacity(payload.len() + 10);
    frame.put_u8(FINAL_TEXT);
    match payload.len() {
        len @ 0..=125 => frame.put_u8(len as u8),
        len @ 126..=0xffff => {
            frame.put_u8(126);
            frame.put_u16(len as u16);
        }
        len => {
            frame.put_u8(127);
            frame.put_u64(len as u64);
        }
    }
    frame.put_slice(payload.as_bytes());
    frame.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_length_takes_one_three_or_nine_bytes() {
        for (len, head) in [
            (0, vec![0x81, 0]),
            (125, vec![0x81, 125]),
            (126, vec![0x81, 126, 0, 126]),
            (65_535, vec![0x81, 126, 255, 255]),
            (65_536, vec![0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0]),
        ] {
            let frame = text(&"x".repeat(len));
            assert_eq!(frame[..head.len()], head, "{len}");
            assert_eq!(frame.len(), head.len() + len);
        }
    }
}
