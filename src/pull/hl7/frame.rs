//! MLLP, the frame around each message: 0x0B, the message, 0x1C 0x0D (HL7 Version 2 Transport: MLLP, Release 1).

/// Start of a block.
pub(super) const START: u8 = 0x0B;
/// End of a block, followed by a carriage return.
pub(super) const END: [u8; 2] = [0x1C, 0x0D];

/// Takes the stream apart.
#[derive(Debug)]
pub(super) struct Frames {
    buffer: Vec<u8>,
    /// Nothing before this was an end.
    looked_at: usize,
    limit: usize,
}

/// What is wrong with a stream: it cannot be read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum FrameError {
    #[error("a message is larger than {0} bytes")]
    TooLarge(usize),
    #[error("what was sent is not a message in an MLLP frame")]
    NoFrame,
}

impl Frames {
    pub fn new(limit: usize) -> Self {
        Self { buffer: Vec::new(), looked_at: 0, limit }
    }

    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Whether a message has begun and not ended.
    pub fn is_inside(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// The next whole message, without its frame; `None` until there is one.
    ///
    /// # Errors
    /// What was pushed is no frame, or its message is too large. Then nothing after it can be told apart.
    pub fn next(&mut self) -> Result<Option<Vec<u8>>, FrameError> {
        // Some engines send blank lines between frames.
        let blanks = self.buffer.iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        self.buffer.drain(..blanks);
        if blanks > 0 {
            self.looked_at = 0;
        }
        match self.buffer.first() {
            None => return Ok(None),
            Some(&START) => {}
            Some(_) => return Err(FrameError::NoFrame),
        }
        let from = self.looked_at.saturating_sub(1);
        let end = self.buffer[from..].windows(2).position(|pair| pair == END).map(|at| from + at);
        let Some(end) = end else {
            self.looked_at = self.buffer.len();
            return if self.buffer.len() > self.limit { Err(FrameError::TooLarge(self.limit)) } else { Ok(None) };
        };
        if end > self.limit {
            return Err(FrameError::TooLarge(self.limit));
        }
        let rest = self.buffer.split_off(end + END.len());
        let mut message = std::mem::replace(&mut self.buffer, rest);
        message.truncate(end);
        message.remove(0);
        self.looked_at = 0;
        Ok(Some(message))
    }
}

/// A message in its frame.
pub(super) fn framed(message: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(message.len() + 3);
    bytes.push(START);
    bytes.extend_from_slice(message.as_bytes());
    bytes.extend_from_slice(&END);
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_stream_is_taken_apart_wherever_it_is_cut() {
        let stream = [framed("MSH|a"), b"\r\n".to_vec(), framed("MSH|b"), framed("")].concat();
        for size in 1..stream.len() {
            let mut frames = Frames::new(100);
            let mut found = Vec::new();
            for part in stream.chunks(size) {
                frames.push(part);
                while let Some(message) = frames.next().unwrap() {
                    found.push(String::from_utf8(message).unwrap());
                }
            }
            assert_eq!(found, ["MSH|a", "MSH|b", ""], "cut every {size} bytes");
            assert!(!frames.is_inside());
        }
    }

    #[test]
    fn what_is_no_frame_or_too_large_ends_the_stream() {
        let mut frames = Frames::new(10);
        frames.push(b"GET / HTTP/1.1\r\n");
        assert_eq!(frames.next(), Err(FrameError::NoFrame));
        let mut frames = Frames::new(10);
        frames.push(&framed("MSH|far too long"));
        assert_eq!(frames.next(), Err(FrameError::TooLarge(10)));
        let mut frames = Frames::new(10);
        frames.push(&[START; 11]);
        assert_eq!(frames.next(), Err(FrameError::TooLarge(10)));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_stumble(parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..8)) {
            let mut frames = Frames::new(64);
            for part in &parts {
                frames.push(part);
                while let Ok(Some(message)) = frames.next() {
                    prop_assert!(message.len() <= 64);
                }
            }
        }
    }
}
