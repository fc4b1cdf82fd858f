//! A sealed stream: what is too large to be sealed in one piece, such as a backup. It has a key of its own, which lies at
//! its beginning, wrapped by the root key. Frames are numbered and the last one says so; a stream that was cut, put
//! together anew or altered does not open.
//!
//! Layout: 16 bytes of magic; key id (16); length of the wrapped key (2, big endian) and the wrapped key; then frames of
//! one byte (1 for the last, else 0), length (4, big endian) and sealed bytes.

use std::io::{Error, ErrorKind, Read, Write};

use uuid::Uuid;

use super::{Key, KeyBytes, Place, RootKey, SealError, WrappedKey};

const MAGIC: &[u8; 16] = b"beckon-sealed 1\n";
/// Plain bytes of one frame.
const FRAME: usize = 256 * 1024;
/// More than sealing adds to a frame.
const OVERHEAD: usize = 256;
const PURPOSE: &str = "sealed stream";

/// Seals what is written to it. Without `finish` the stream counts as cut.
#[derive(Debug)]
pub struct SealedWriter<W: Write> {
    inner: W,
    key: Key,
    buffer: Vec<u8>,
    frames: u64,
}

impl<W: Write> SealedWriter<W> {
    /// Begins a stream under the new key `bytes`, called `id`.
    ///
    /// # Errors
    /// The crypto provider or `inner` refuses.
    pub fn new(mut inner: W, root: &RootKey, id: Uuid, bytes: &KeyBytes) -> std::io::Result<Self> {
        let wrapped = root.key().wrap(PURPOSE, id, bytes).map_err(Error::other)?;
        inner.write_all(MAGIC)?;
        inner.write_all(id.as_bytes())?;
        inner.write_all(&(wrapped.0.len() as u16).to_be_bytes())?;
        inner.write_all(&wrapped.0)?;
        Ok(Self {
            inner,
            key: Key::new(id, bytes).map_err(Error::other)?,
            buffer: Vec::with_capacity(FRAME),
            frames: 0,
        })
    }

    fn frame(&mut self, last: bool) -> std::io::Result<()> {
        let number = self.frames.to_string();
        let sealed = self.key.seal(&place(&number, last), &self.buffer).map_err(Error::other)?;
        self.inner.write_all(&[u8::from(last)])?;
        self.inner.write_all(&(sealed.len() as u32).to_be_bytes())?;
        self.inner.write_all(&sealed)?;
        self.buffer.clear();
        self.frames += 1;
        Ok(())
    }

    /// Writes the last frame and gives back what was written to.
    ///
    /// # Errors
    /// `inner` refuses.
    pub fn finish(mut self) -> std::io::Result<W> {
        self.frame(true)?;
        self.inner.flush()?;
        Ok(self.inner)
    }
}

impl<W: Write> Write for SealedWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let taken = bytes.len().min(FRAME - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..taken]);
        if self.buffer.len() == FRAME {
            self.frame(false)?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.flush()
    }
}

/// Opens a sealed stream. Its end is reported only after the last frame was seen whole.
#[derive(Debug)]
pub struct SealedReader<R: Read> {
    inner: R,
    key: Key,
    plain: Vec<u8>,
    at: usize,
    frames: u64,
    ended: bool,
}

impl<R: Read> SealedReader<R> {
    /// # Errors
    /// It is no sealed stream, or it was sealed under another root key.
    pub fn new(mut inner: R, root: &RootKey) -> std::io::Result<Self> {
        let mut magic = [0_u8; 16];
        inner.read_exact(&mut magic).map_err(|_| wrong("it is not a file of Beckon's, or it is cut short"))?;
        if &magic != MAGIC {
            return Err(wrong("it is not a file that Beckon sealed"));
        }
        let mut id = [0_u8; 16];
        let mut length = [0_u8; 2];
        inner.read_exact(&mut id).map_err(|_| cut())?;
        inner.read_exact(&mut length).map_err(|_| cut())?;
        let mut wrapped = vec![0_u8; usize::from(u16::from_be_bytes(length))];
        inner.read_exact(&mut wrapped).map_err(|_| cut())?;
        let id = Uuid::from_bytes(id);
        let bytes = root.key().unwrap(PURPOSE, id, &WrappedKey(wrapped)).map_err(|error| match error {
            SealError::DoesNotOpen => wrong("it was sealed under another root key, or its beginning was altered"),
            other => wrong(&other.to_string()),
        })?;
        let key = Key::new(id, &bytes).map_err(Error::other)?;
        Ok(Self { inner, key, plain: Vec::new(), at: 0, frames: 0, ended: false })
    }

    fn next_frame(&mut self) -> std::io::Result<()> {
        let mut head = [0_u8; 5];
        self.inner.read_exact(&mut head).map_err(|_| cut())?;
        let last = head[0] == 1;
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        if length > FRAME + OVERHEAD {
            return Err(wrong("it was altered: a frame is too long"));
        }
        let mut sealed = vec![0_u8; length];
        self.inner.read_exact(&mut sealed).map_err(|_| cut())?;
        let number = self.frames.to_string();
        self.plain = self
            .key
            .open(&place(&number, last), &sealed)
            .map_err(|_| wrong("it was altered: a frame does not open in its place"))?;
        self.at = 0;
        self.frames += 1;
        self.ended = last;
        if last && self.inner.read(&mut [0_u8; 1])? > 0 {
            return Err(wrong("it was altered: something follows its end"));
        }
        Ok(())
    }
}

impl<R: Read> Read for SealedReader<R> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        while self.at == self.plain.len() {
            if self.ended {
                return Ok(0);
            }
            self.next_frame()?;
        }
        let taken = out.len().min(self.plain.len() - self.at);
        out[..taken].copy_from_slice(&self.plain[self.at..self.at + taken]);
        self.at += taken;
        Ok(taken)
    }
}

const fn place(number: &str, last: bool) -> Place<'_> {
    Place { tenant: PURPOSE, table: "stream", column: if last { "last" } else { "frame" }, row: number }
}

fn wrong(words: &str) -> Error {
    Error::new(ErrorKind::InvalidData, words)
}

fn cut() -> Error {
    wrong("it is cut short")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SeededEntropy;
    use base64::Engine as _;

    fn root(byte: u8) -> RootKey {
        let text = base64::engine::general_purpose::STANDARD.encode([byte; 32]);
        RootKey::parse(&secrecy::SecretString::from(text)).unwrap()
    }

    fn sealed(plain: &[u8]) -> Vec<u8> {
        let key = KeyBytes::generate(&SeededEntropy::new(7));
        let mut writer = SealedWriter::new(Vec::new(), &root(1), Uuid::from_u128(9), &key).unwrap();
        writer.write_all(plain).unwrap();
        writer.finish().unwrap()
    }

    fn open(bytes: &[u8], root: &RootKey) -> std::io::Result<Vec<u8>> {
        let mut plain = Vec::new();
        SealedReader::new(bytes, root)?.read_to_end(&mut plain)?;
        Ok(plain)
    }

    #[test]
    fn a_stream_of_any_length_opens_again() {
        for length in [0, 1, FRAME - 1, FRAME, FRAME + 1, 3 * FRAME + 17] {
            let plain: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
            let bytes = sealed(&plain);
            assert!(length < 64 || !bytes.windows(32).any(|window| window == &plain[..32]), "{length}");
            assert_eq!(open(&bytes, &root(1)).unwrap(), plain, "{length}");
        }
    }

    #[test]
    fn what_was_cut_altered_or_put_together_anew_does_not_open() {
        let bytes = sealed(&vec![5_u8; 2 * FRAME + 9]);
        for length in [0, 10, 16, 40, 90, FRAME, bytes.len() - 60, bytes.len() - 1] {
            assert!(open(&bytes[..length], &root(1)).is_err(), "cut at {length}");
        }
        for at in (0..bytes.len()).step_by(9973) {
            let mut altered = bytes.clone();
            altered[at] ^= 1;
            assert!(open(&altered, &root(1)).is_err(), "byte {at}");
        }
        assert!(open(&[&bytes[..], b"x"].concat(), &root(1)).is_err(), "a longer file");
        let start = 16 + 16 + 2 + u16::from_be_bytes([bytes[32], bytes[33]]) as usize;
        let frame =
            5 + u32::from_be_bytes([bytes[start + 1], bytes[start + 2], bytes[start + 3], bytes[start + 4]]) as usize;
        let swapped = [
            &bytes[..start],
            &bytes[start + frame..start + 2 * frame],
            &bytes[start..start + frame],
            &bytes[start + 2 * frame..],
        ];
        assert!(open(&swapped.concat(), &root(1)).is_err(), "two frames swapped");
        let dropped = [&bytes[..start], &bytes[start + frame..]];
        assert!(open(&dropped.concat(), &root(1)).is_err(), "a frame left out");
    }

    #[test]
    fn another_root_key_is_named_as_the_trouble() {
        let error = open(&sealed(b"x"), &root(2)).unwrap_err();
        assert!(error.to_string().contains("another root key"), "{error}");
        assert!(open(b"PK\x03\x04 some other file", &root(1)).unwrap_err().to_string().contains("not a file"));
    }
}
