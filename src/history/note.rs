//! Checkpoints as text that others can check: a signed note (C2SP signed-note) whose body is a tree's head (C2SP
//! tlog-checkpoint): the log's name, its size, its root. Signed with Ed25519.

use aws_lc_rs::digest::{Context, SHA256};
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::tree::Hash;

/// Ed25519 in the signed-note specification.
const ED25519_TYPE: u8 = 1;
/// What a signature line begins with.
const DASH: &str = "\u{2014} ";
/// A note is small; more is nobody's checkpoint.
const MAX_NOTE: usize = 64 * 1024;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoteError {
    #[error("this is no signed checkpoint: {0}")]
    Form(&'static str),
    #[error("this is no verifier key; it looks like name+a1b2c3d4+BASE64")]
    Key,
    #[error("the key cannot sign")]
    Signing,
    #[error("it carries no signature by {0}")]
    NotSigned(String),
    #[error("its signature by {0} is false: the text is not what was signed")]
    FalseSignature(String),
}

/// What a checkpoint says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The log's name.
    pub origin: String,
    /// How many leaves it had.
    pub size: u64,
    pub root: Hash,
}

impl Checkpoint {
    pub fn text(&self) -> String {
        format!("{}\n{}\n{}\n", self.origin, self.size, BASE64.encode(self.root))
    }

    /// Reads the text above the signatures; further lines are allowed and ignored.
    pub fn parse(text: &str) -> Result<Self, NoteError> {
        let mut lines = text.lines();
        let mut line = |what| lines.next().filter(|it| !it.is_empty()).ok_or(NoteError::Form(what));
        let origin = line("the first line does not name a log")?.to_owned();
        let size = line("the second line is not a size")?;
        let plain = size.bytes().all(|it| it.is_ascii_digit()) && (size == "0" || !size.starts_with('0'));
        let size = size.parse().ok().filter(|_| plain).ok_or(NoteError::Form("the second line is not a size"))?;
        let root = BASE64.decode(line("the third line is not a hash")?).ok();
        let root = root.and_then(|it| it.try_into().ok()).ok_or(NoteError::Form("the third line is not a hash"))?;
        Ok(Self { origin, size, root })
    }
}

/// Who may have signed: a name and an Ed25519 key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verifier {
    pub name: String,
    pub public_key: [u8; 32],
}

impl Verifier {
    /// Reads `name+hash+base64`, the form in which verifier keys are handed over.
    pub fn parse(text: &str) -> Result<Self, NoteError> {
        let (name, rest) = text.trim().split_once('+').ok_or(NoteError::Key)?;
        let (hash, key) = rest.split_once('+').ok_or(NoteError::Key)?;
        let key = BASE64.decode(key).map_err(|_| NoteError::Key)?;
        let (Some(&ED25519_TYPE), Ok(public_key)) = (key.first(), key[1.min(key.len())..].try_into()) else {
            return Err(NoteError::Key);
        };
        let verifier = Self { name: name.to_owned(), public_key };
        (!name.is_empty() && verifier.hash_text() == hash).then_some(verifier).ok_or(NoteError::Key)
    }

    pub fn text(&self) -> String {
        let key = [&[ED25519_TYPE][..], &self.public_key].concat();
        format!("{}+{}+{}", self.name, self.hash_text(), BASE64.encode(key))
    }

    fn hash_text(&self) -> String {
        crate::clock::hexadecimal(&self.hash())
    }

    /// What a signature line carries to say by which key it is.
    fn hash(&self) -> [u8; 4] {
        let mut context = Context::new(&SHA256);
        context.update(self.name.as_bytes());
        context.update(&[b'\n', ED25519_TYPE]);
        context.update(&self.public_key);
        let mut hash = [0; 4];
        hash.copy_from_slice(&context.finish().as_ref()[..4]);
        hash
    }

    /// Reads a checkpoint and checks this key's signature on it.
    pub fn open(&self, note: &str) -> Result<Checkpoint, NoteError> {
        Checkpoint::parse(self.open_text(note)?)
    }

    /// The text of any note, if this key signed it.
    pub fn open_text<'a>(&self, note: &'a str) -> Result<&'a str, NoteError> {
        let parsed = Note::parse(note)?;
        let by_us = |(name, bytes): &&(String, Vec<u8>)| *name == self.name && bytes[..4] == self.hash();
        let (_, bytes) = parsed.signatures.iter().find(by_us).ok_or_else(|| NoteError::NotSigned(self.text()))?;
        UnparsedPublicKey::new(&ED25519, &self.public_key)
            .verify(parsed.text.as_bytes(), &bytes[4..])
            .map_err(|_| NoteError::FalseSignature(self.text()))?;
        Ok(parsed.text)
    }
}

/// A note taken apart; nothing is checked yet.
#[derive(Debug, PartialEq, Eq)]
pub struct Note<'a> {
    pub text: &'a str,
    /// Name, then four bytes of the key's hash and the signature.
    pub signatures: Vec<(String, Vec<u8>)>,
}

impl<'a> Note<'a> {
    pub fn parse(note: &'a str) -> Result<Self, NoteError> {
        if note.len() > MAX_NOTE {
            return Err(NoteError::Form("it is too long"));
        }
        let at = note.rfind("\n\n").ok_or(NoteError::Form("no empty line stands above the signatures"))?;
        let (text, below) = (&note[..=at], &note[at + 2..]);
        let mut signatures = Vec::new();
        for line in below.lines() {
            let unclear = NoteError::Form("a signature line cannot be read");
            let (name, bytes) = line.strip_prefix(DASH).and_then(|it| it.split_once(' ')).ok_or(unclear.clone())?;
            let bytes = BASE64.decode(bytes).ok().filter(|bytes| bytes.len() > 4).ok_or(unclear)?;
            signatures.push((name.to_owned(), bytes));
        }
        if signatures.is_empty() {
            return Err(NoteError::Form("it is not signed"));
        }
        Ok(Self { text, signatures })
    }
}

/// A log's name and the private half of its key, made from 32 secret random bytes.
pub struct Signer {
    name: String,
    pair: Ed25519KeyPair,
}

impl Signer {
    pub fn new(name: &str, seed: &[u8]) -> Result<Self, NoteError> {
        let pair = Ed25519KeyPair::from_seed_unchecked(seed).map_err(|_| NoteError::Signing)?;
        Ok(Self { name: name.to_owned(), pair })
    }

    pub fn verifier(&self) -> Verifier {
        let mut public_key = [0; 32];
        public_key.copy_from_slice(self.pair.public_key().as_ref());
        Verifier { name: self.name.clone(), public_key }
    }

    /// Signs a text that ends with a line end.
    pub fn sign(&self, text: &str) -> String {
        let signature = self.pair.sign(text.as_bytes());
        let bytes = [&self.verifier().hash()[..], signature.as_ref()].concat();
        format!("{text}\n{DASH}{} {}\n", self.name, BASE64.encode(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed() -> (Verifier, Checkpoint, String) {
        let signer = Signer::new("beckon.hospital.example/history/main", &[7; 32]).unwrap();
        let checkpoint =
            Checkpoint { origin: "beckon.hospital.example/history/main".to_owned(), size: 42, root: [9; 32] };
        let note = signer.sign(&checkpoint.text());
        (signer.verifier(), checkpoint, note)
    }

    #[test]
    fn a_checkpoint_is_read_back_by_whoever_has_the_public_key() {
        let (verifier, checkpoint, note) = signed();
        assert_eq!(Verifier::parse(&verifier.text()).unwrap(), verifier);
        assert_eq!(verifier.open(&note).unwrap(), checkpoint);
        let cosigned = format!("{note}{DASH}witness.example AAAAAAAA\n");
        assert_eq!(verifier.open(&cosigned).unwrap(), checkpoint, "others may sign it too");
    }

    /// The example of the signed-note specification: key, note and signature made by its authors' program.
    #[test]
    fn the_published_example_of_a_signed_note_verifies() {
        let key = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
        let note = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n\
                    \u{2014} PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6\
                    KE6RyyBwJnAM=\n";
        let verifier = Verifier::parse(key).unwrap();
        // It is no checkpoint, which is noticed only after its signature held.
        assert!(matches!(verifier.open(note), Err(NoteError::Form(_))));
        let altered = note.replace("answer", "enigma");
        assert!(matches!(verifier.open(&altered), Err(NoteError::FalseSignature(_))));
    }

    #[test]
    fn no_altered_byte_is_taken_for_the_signed_checkpoint() {
        let (verifier, checkpoint, note) = signed();
        for at in 0..note.len() {
            let mut bytes = note.clone().into_bytes();
            bytes[at] ^= 1;
            let Ok(altered) = String::from_utf8(bytes) else { continue };
            let opened = verifier.open(&altered);
            assert!(opened.is_err() || opened == Ok(checkpoint.clone()), "byte {at}: {opened:?}");
            if at < checkpoint.text().len() {
                assert!(opened.is_err(), "byte {at} of the text");
            }
        }
        let other = Signer::new(&verifier.name, &[8; 32]).unwrap();
        assert!(matches!(verifier.open(&other.sign(&checkpoint.text())), Err(NoteError::NotSigned(_))));
    }

    #[test]
    fn what_is_no_checkpoint_says_so() {
        let (verifier, ..) = signed();
        for text in ["", "x", "a\n\n", "a\nb\n\n\u{2014} c d\n", "a\n01\nAAAA\n\n\u{2014} c AAAAAAAA\n"] {
            assert!(verifier.open(text).is_err(), "{text:?}");
        }
        for text in ["", "a+b", "a+00000000+AAAA", "+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"] {
            assert!(Verifier::parse(text).is_err(), "{text:?}");
        }
        assert!(Checkpoint::parse("log\n007\nCQkJ\n").is_err());
    }
}
