//! `ssl_password_file`: what encrypted keys open with.
//!
//! Limits: [`FILE_BYTES_MAX`]. The file may be a pipe, and so is read once for all who name it.
//! Failures say where, never what.

use std::collections::HashMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use weir_conf::nginx::Pos;

use super::fault;
use crate::error::LbError;

/// Longest file that is read.
const FILE_BYTES_MAX: u64 = 1 << 16;

/// Pipes that were read: who writes a password into one does so once.
static PIPES: Mutex<Option<HashMap<PathBuf, Vec<String>>>> = Mutex::new(None);

/// The lines of a file.
pub(super) fn read(path: &Path, pos: &Pos) -> Result<Vec<String>, LbError> {
    let fail = |error: std::io::Error| fault(format!("open() {path:?} failed ({error})"), pos);
    let mut pipes = PIPES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = pipes.iter().find_map(|pipes| pipes.get(path)) {
        return Ok(known.clone());
    }
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(fail)?;
    let is_plain = file.metadata().is_ok_and(|it| it.is_file());
    file.take(FILE_BYTES_MAX)
        .read_to_string(&mut text)
        .map_err(fail)?;
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    if !is_plain {
        let known = pipes.get_or_insert_default();
        known.insert(path.to_path_buf(), lines.clone());
    }
    Ok(lines)
}

/// The key (PKCS#8, DER) that one of the passwords opens; `None` if it is not an encrypted one.
#[cfg(not(feature = "openssl"))]
pub(super) fn open(pem: &[u8], path: &Path, pos: &Pos) -> Result<Option<Vec<u8>>, LbError> {
    use pkcs8::{EncryptedPrivateKeyInfo, SecretDocument};
    let passwords = read(path, pos)?;
    let Some((label, document)) = std::str::from_utf8(pem)
        .ok()
        .and_then(|text| SecretDocument::from_pem(text).ok())
    else {
        return Ok(None);
    };
    if label != "ENCRYPTED PRIVATE KEY" {
        return Ok(None);
    }
    let Ok(key) = EncryptedPrivateKeyInfo::try_from(document.as_bytes()) else {
        return Ok(None);
    };
    let mut opened = passwords.iter().filter_map(|it| key.decrypt(it).ok());
    let found = opened.next().map(|it| it.as_bytes().to_vec());
    if found.is_none() {
        let message = format!("no password of {path:?} opens the certificate key");
        return Err(fault(message, pos));
    }
    Ok(found)
}
