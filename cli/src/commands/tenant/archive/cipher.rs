//! Encryption of the files of an export, by AES-256-GCM in chunks.
//!
//! A file is `MAGIC | export [16] | salt [16] | chunk…`. HKDF-SHA-256 derives its key from the
//! export key, the salt, the id of the export and the file's name, so that no two files share a key,
//! and none can replace another, nor one of another export. Files of the first version (`KGRCAEX1`)
//! have no id. A chunk has 64 KiB of content, the last one at most as much, and a tag of 16 bytes.
//! Its nonce is its number and whether it is the last: chunks can be neither cut off, exchanged nor
//! repeated.

use std::io::{self, BufRead, Read, Write};

use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, Salt};

use super::key::ExportKey;

const MAGIC: &[u8; 8] = b"KGRCAEX2";
const FIRST_MAGIC: &[u8; 8] = b"KGRCAEX1";
const SALT: usize = 16;
const CHUNK: usize = 64 << 10;
const TAG: usize = 16;

/// Which export a file belongs to; `None` for those of the first version.
pub(super) type ExportId = Option<[u8; ID]>;
const ID: usize = 16;

/// The id of a new export.
pub(super) fn new_id() -> [u8; ID] {
    rand::random()
}

/// The id at the beginning of a file.
pub(super) fn read_id(from: &mut impl Read) -> io::Result<ExportId> {
    let mut magic = [0; MAGIC.len()];
    from.read_exact(&mut magic)?;
    if magic == *FIRST_MAGIC {
        return Ok(None);
    }
    if magic != *MAGIC {
        return Err(io::Error::other("not an encrypted export"));
    }
    let mut id = [0; ID];
    from.read_exact(&mut id)?;
    Ok(Some(id))
}

/// Which file of which export.
#[derive(Clone, Copy)]
pub(super) struct FileOf<'a> {
    pub export: ExportId,
    pub name: &'a str,
}

impl FileOf<'_> {
    fn info(&self) -> Vec<u8> {
        match self.export {
            Some(id) => [&MAGIC[..], &id, self.name.as_bytes()].concat(),
            None => [&FIRST_MAGIC[..], self.name.as_bytes()].concat(),
        }
    }
}

struct Cipher {
    key: LessSafeKey,
    chunk: u64,
}

impl Cipher {
    fn new(key: &ExportKey, file: FileOf<'_>, salt: &[u8; SALT]) -> io::Result<Self> {
        let secret = Salt::new(HKDF_SHA256, salt).extract(key.bytes());
        let info = file.info();
        let info = [&info[..]];
        let derived = secret.expand(&info, &AES_256_GCM).map_err(|_| failed())?;
        Ok(Self {
            key: LessSafeKey::new(UnboundKey::from(derived)),
            chunk: 0,
        })
    }

    fn nonce(&mut self, is_last: bool) -> Nonce {
        let mut nonce = [0; NONCE_LEN];
        nonce[..8].copy_from_slice(&self.chunk.to_be_bytes());
        nonce[NONCE_LEN - 1] = u8::from(is_last);
        self.chunk += 1;
        Nonce::assume_unique_for_key(nonce)
    }
}

fn failed() -> io::Error {
    io::Error::other("encryption failed")
}

/// Encrypts what is written to it. Without [`Encrypting::finish`] the file cannot be read.
pub(super) struct Encrypting<W> {
    to: W,
    cipher: Cipher,
    buffer: Vec<u8>,
}

impl<W: Write> Encrypting<W> {
    pub(super) fn new(mut to: W, key: &ExportKey, file: FileOf<'_>) -> io::Result<Self> {
        let salt: [u8; SALT] = rand::random();
        match &file.export {
            Some(id) => to.write_all(&[&MAGIC[..], id].concat())?,
            None => to.write_all(FIRST_MAGIC)?,
        }
        to.write_all(&salt)?;
        Ok(Self {
            to,
            cipher: Cipher::new(key, file, &salt)?,
            buffer: Vec::with_capacity(CHUNK + TAG),
        })
    }

    fn seal(&mut self, is_last: bool) -> io::Result<()> {
        let nonce = self.cipher.nonce(is_last);
        let sealed =
            self.cipher
                .key
                .seal_in_place_append_tag(nonce, Aad::empty(), &mut self.buffer);
        sealed.map_err(|_| failed())?;
        self.to.write_all(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }

    /// Writes the last chunk.
    pub(super) fn finish(mut self) -> io::Result<W> {
        self.seal(true)?;
        Ok(self.to)
    }
}

impl<W: Write> Write for Encrypting<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // A full chunk is written when more follows: the last one is known at the end.
        if self.buffer.len() == CHUNK {
            self.seal(false)?;
        }
        let taken = bytes.len().min(CHUNK - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

/// Decrypts a file while it is read.
pub(super) struct Decrypting<R> {
    from: R,
    cipher: Cipher,
    plain: Vec<u8>,
    at: usize,
    is_over: bool,
}

impl<R: BufRead> Decrypting<R> {
    pub(super) fn new(mut from: R, key: &ExportKey, file: FileOf<'_>) -> io::Result<Self> {
        let mut salt = [0; SALT];
        if read_id(&mut from)? != file.export {
            return Err(io::Error::other("the file belongs to another export"));
        }
        from.read_exact(&mut salt)?;
        Ok(Self {
            from,
            cipher: Cipher::new(key, file, &salt)?,
            plain: Vec::with_capacity(CHUNK + TAG),
            at: 0,
            is_over: false,
        })
    }

    fn next_chunk(&mut self) -> io::Result<()> {
        self.plain.clear();
        self.at = 0;
        let longest = (CHUNK + TAG) as u64;
        (&mut self.from)
            .take(longest)
            .read_to_end(&mut self.plain)?;
        self.is_over = self.from.fill_buf()?.is_empty();
        let nonce = self.cipher.nonce(self.is_over);
        let opened = self
            .cipher
            .key
            .open_in_place(nonce, Aad::empty(), &mut self.plain);
        let Ok(length) = opened.map(|plain| plain.len()) else {
            // What is not authentic is not content.
            self.plain.clear();
            self.is_over = true;
            let why = "it was altered, or is encrypted with another key";
            return Err(io::Error::other(why));
        };
        self.plain.truncate(length);
        Ok(())
    }
}

impl<R: BufRead> Read for Decrypting<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let mut part = self.fill_buf()?;
        let length = part.read(out)?;
        self.consume(length);
        Ok(length)
    }
}

impl<R: BufRead> BufRead for Decrypting<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at == self.plain.len() && !self.is_over {
            self.next_chunk()?;
        }
        Ok(&self.plain[self.at..])
    }

    fn consume(&mut self, bytes: usize) {
        self.at += bytes;
    }
}

#[cfg(test)]
mod tests;
