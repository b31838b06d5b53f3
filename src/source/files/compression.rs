//! Compressed files, told by their first bytes: names lie, and standard input has none.

use std::io::{self, BufRead, Read};

use flate2::bufread::GzDecoder;
use liblzma::stream::{CONCATENATED, Stream};

/// The most memory that unpacking xz may take: its own levels need 65 MiB at most.
const XZ_MEMORY: u64 = 256 << 20;

/// How a file is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// gzip, one member or several.
    Gzip,
    /// Zstandard, one frame or several.
    Zstd,
    /// xz, one stream or several.
    Xz,
    /// bzip2, one stream or several.
    Bzip2,
    /// A form that kreplay can't unpack.
    Unsupported(&'static str),
}

/// What files begin with. No log does: a record begins with a digit, a quote or a bracket.
const SIGNATURES: [(&[u8], Compression); 9] = [
    (b"\x1f\x8b\x08", Compression::Gzip),
    (b"\x28\xb5\x2f\xfd", Compression::Zstd),
    (b"\xfd7zXZ\0", Compression::Xz),
    (b"BZh", Compression::Bzip2),
    (b"PK\x03\x04", Compression::Unsupported("zip")),
    (b"7z\xbc\xaf\x27\x1c", Compression::Unsupported("7z")),
    (b"\x04\x22\x4d\x18", Compression::Unsupported("lz4")),
    (b"\x1f\x9d", Compression::Unsupported("compress")),
    (b"LZIP", Compression::Unsupported("lzip")),
];

/// Where a tar archive says what it is, and how.
const TAR: (usize, &[u8]) = (257, b"ustar");

/// A frame of Zstandard that holds no data may be the first: its first byte is one of sixteen.
const SKIPPABLE_FRAME: &[u8] = b"\x2a\x4d\x18";

impl Compression {
    /// How a file is compressed that begins so; `None` if it is not.
    pub fn told_by(begin: &[u8]) -> Option<Self> {
        let signature = SIGNATURES.iter().find(|(signature, _)| begin.starts_with(signature));
        let skippable =
            matches!(begin, [0x50..=0x5f, rest @ ..] if rest.starts_with(SKIPPABLE_FRAME));
        signature.map(|(_, compression)| *compression).or(skippable.then_some(Self::Zstd))
    }

    /// Whether it takes more bytes to tell.
    fn takes_more(begin: &[u8]) -> bool {
        let begins =
            |signature: &[u8]| signature.len() > begin.len() && signature.starts_with(begin);
        let skippable = match begin {
            [] => true,
            [0x50..=0x5f, rest @ ..] => {
                rest.len() < SKIPPABLE_FRAME.len() && SKIPPABLE_FRAME.starts_with(rest)
            }
            _ => false,
        };
        skippable || SIGNATURES.iter().any(|(signature, _)| begins(signature))
    }

    /// Reads as many of a file's first bytes as it takes to tell how it is compressed.
    pub fn read_signature(file: &mut impl Read) -> io::Result<Vec<u8>> {
        let mut begin = Vec::new();
        while Self::takes_more(&begin) {
            let before = begin.len();
            file.by_ref().take(1).read_to_end(&mut begin)?;
            if begin.len() == before {
                break;
            }
        }
        Ok(begin)
    }

    /// The name of the form.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Xz => "xz",
            Self::Bzip2 => "bzip2",
            Self::Unsupported(name) => name,
        }
    }

    /// What a file holds, once unpacked, that is no log either: an archive, or another compressed file.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::Unsupported`], with what it is and what to do.
    pub fn refuse_nested(text: &mut impl Read) -> io::Result<()> {
        let mut begin = Vec::new();
        let (at, name) = TAR;
        // What is damaged is told when it is read, with what was lost.
        if text.take((at + name.len()) as u64).read_to_end(&mut begin).is_err() {
            return Ok(());
        }
        let reason = if begin.get(at..) == Some(name) {
            "it is a tar archive, which kreplay can't read: unpack it first, or give it the files in \
             it (tar -xOf … | kreplay --input -)"
                .to_owned()
        } else if let Some(inner) = Self::told_by(&begin) {
            format!("what it holds is packed once more, by {}: unpack it first", inner.name())
        } else {
            return Ok(());
        };
        Err(io::Error::new(io::ErrorKind::Unsupported, reason))
    }

    /// The text of a compressed file, with bounded memory.
    pub fn unpack<'a>(self, file: impl BufRead + 'a) -> io::Result<Box<dyn Read + 'a>> {
        Ok(match self {
            Self::Gzip => Box::new(GzipMembers { member: Some(GzDecoder::new(file)) }),
            Self::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(file)?),
            Self::Xz => {
                let stream = Stream::new_stream_decoder(XZ_MEMORY, CONCATENATED)?;
                Box::new(liblzma::bufread::XzDecoder::new_stream(file, stream))
            }
            Self::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(file)),
            Self::Unsupported(name) => {
                let reason = format!(
                    "it is packed by {name}, which kreplay can't read (gzip, zstd, xz and bzip2 it \
                     can): unpack it first"
                );
                return Err(io::Error::new(io::ErrorKind::Unsupported, reason));
            }
        })
    }
}

/// The members of a gzip file, one behind the other, with the zero bytes that a tape or a disk fills its
/// last block up with.
struct GzipMembers<R> {
    /// `None`: all of them are read.
    member: Option<GzDecoder<R>>,
}

impl<R: BufRead> Read for GzipMembers<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while let Some(member) = &mut self.member {
            let read = member.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            let file = self.member.take().map(GzDecoder::into_inner);
            self.member = file.map(next_member).transpose()?.flatten();
        }
        Ok(0)
    }
}

/// The member that follows in a file, behind zero bytes.
fn next_member<R: BufRead>(mut file: R) -> io::Result<Option<GzDecoder<R>>> {
    loop {
        let bytes = file.fill_buf()?;
        let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
        let (is_end, is_padding) = (bytes.is_empty(), zeros == bytes.len());
        file.consume(zeros);
        if !is_padding {
            return Ok(Some(GzDecoder::new(file)));
        }
        if is_end {
            return Ok(None);
        }
    }
}

#[cfg(test)]
pub(in crate::source) mod tests {
    use std::io::Write as _;

    use super::*;

    pub(in crate::source) const ALL: [Compression; 4] =
        [Compression::Gzip, Compression::Zstd, Compression::Xz, Compression::Bzip2];

    /// The text, compressed.
    pub(in crate::source) fn pack(compression: Compression, text: &[u8]) -> Vec<u8> {
        let packed = match compression {
            Compression::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), Default::default());
                encoder.write_all(text).and_then(|()| encoder.finish())
            }
            Compression::Zstd => zstd::encode_all(text, 0),
            Compression::Xz => {
                let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 6);
                encoder.write_all(text).and_then(|()| encoder.finish())
            }
            Compression::Bzip2 => {
                let mut encoder = bzip2::write::BzEncoder::new(Vec::new(), Default::default());
                encoder.write_all(text).and_then(|()| encoder.finish())
            }
            Compression::Unsupported(name) => panic!("{name}"),
        };
        packed.expect("in memory")
    }

    fn unpack(packed: &[u8]) -> io::Result<Vec<u8>> {
        let compression = Compression::told_by(packed).expect("compressed");
        let mut text = Vec::new();
        compression.unpack(packed)?.read_to_end(&mut text)?;
        Ok(text)
    }

    #[test]
    fn each_form_is_told_by_its_first_bytes_and_unpacked() {
        for compression in ALL {
            let packed = pack(compression, b"some text");
            assert_eq!(Compression::told_by(&packed), Some(compression));
            assert_eq!(unpack(&packed).expect("whole"), b"some text", "{compression:?}");
        }
    }

    #[test]
    fn files_that_were_packed_one_by_one_and_joined_are_one() {
        for compression in ALL {
            let joined = [pack(compression, b"one, "), pack(compression, b"two")].concat();
            assert_eq!(unpack(&joined).expect("whole"), b"one, two", "{compression:?}");
        }
    }

    #[test]
    fn zero_bytes_behind_a_gzip_file_are_none_of_its_text() {
        let padded =
            [pack(Compression::Gzip, b"one, "), pack(Compression::Gzip, b"two"), vec![0; 512]];
        assert_eq!(unpack(&padded.concat()).expect("whole"), b"one, two");
        let followed = [pack(Compression::Gzip, b"text"), b"\0\0more".to_vec()].concat();
        assert!(unpack(&followed).is_err());
    }

    #[test]
    fn a_file_that_was_cut_off_is_no_shorter_text() {
        let text: Vec<u8> = (0..100_000_u32).flat_map(|n| (n ^ (n << 7)).to_le_bytes()).collect();
        for compression in ALL {
            let packed = pack(compression, &text);
            for length in [packed.len() / 2, packed.len() - 1] {
                assert!(unpack(&packed[..length]).is_err(), "{compression:?} {length}");
            }
        }
    }

    #[test]
    fn no_more_is_read_than_it_takes_to_tell() {
        for (text, expected) in [("2026-11", 1), ("{\"a\"", 1), ("", 0), ("Bach", 2), ("\x1f\n", 2)]
        {
            let mut rest = text.as_bytes();
            let begin = Compression::read_signature(&mut rest).expect("in memory");
            assert_eq!(begin.len(), expected, "{text:?}");
            assert_eq!(Compression::told_by(&begin), None);
        }
    }

    #[test]
    fn a_zstandard_file_may_begin_with_a_frame_without_data() {
        let skippable = b"\x5a\x2a\x4d\x18\x02\0\0\0ab";
        let packed = [&skippable[..], &pack(Compression::Zstd, b"text")].concat();
        let begin = Compression::read_signature(&mut &packed[..]).expect("in memory");
        assert_eq!(Compression::told_by(&begin), Some(Compression::Zstd));
        assert_eq!(unpack(&packed).expect("whole"), b"text");
    }

    #[test]
    fn a_form_that_is_not_read_is_named() {
        let error = unpack(b"PK\x03\x04...").expect_err("zip").to_string();
        assert!(error.contains("zip") && error.contains("unpack it first"), "{error}");
    }

    #[test]
    fn what_is_no_log_once_unpacked_is_named() {
        let refused =
            |text: &[u8]| Compression::refuse_nested(&mut &*text).map_err(|e| e.to_string());
        let archive = [&[b'a'; 257][..], b"ustar\x0000", &[0; 100]].concat();
        assert!(refused(&archive).is_err_and(|error| error.contains("tar archive")));
        let again = pack(Compression::Gzip, b"text");
        assert!(refused(&again).is_err_and(|error| error.contains("once more, by gzip")));
        assert_eq!(refused(b"2026-11-22 15:32:20.435 UTC,"), Ok(()));
        assert_eq!(refused(b""), Ok(()));
    }
}
