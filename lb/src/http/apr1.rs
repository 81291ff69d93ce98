//! `$apr1$`, Apache's own form of MD5 crypt, which `htpasswd` writes.
//!
//! Why by hand: the crates that have it build on an abandoned one. MD5 itself is a library's.

use md5::{Digest as _, Md5};

const ALPHABET: &[u8; 64] = b"./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// Rounds of the algorithm.
const ROUNDS: usize = 1000;

/// Whether a password has this hash.
pub(super) fn verify(password: &str, hash: &str) -> bool {
    use subtle::ConstantTimeEq as _;
    let Some((salt, digest)) = hash
        .strip_prefix("$apr1$")
        .and_then(|rest| rest.split_once('$'))
    else {
        return false;
    };
    let salt = salt.get(..salt.len().min(8)).unwrap_or_default();
    let found = encode(password.as_bytes(), salt.as_bytes());
    found.as_bytes().ct_eq(digest.as_bytes()).into()
}

fn encode(password: &[u8], salt: &[u8]) -> String {
    let inner = digest(&[password, salt, password]);
    let mut outer = Md5::new();
    outer.update(password);
    outer.update(b"$apr1$");
    outer.update(salt);
    for chunk in password.chunks(16) {
        outer.update(inner.get(..chunk.len()).unwrap_or_default());
    }
    let mut left = password.len();
    while left > 0 {
        let first = password.get(..1).unwrap_or_default();
        outer.update(if left & 1 == 1 { &b"\0"[..] } else { first });
        left >>= 1;
    }
    let mut result: [u8; 16] = outer.finalize().into();
    for round in 0..ROUNDS {
        let odd = round & 1 == 1;
        let mut parts: Vec<&[u8]> = vec![if odd { password } else { &result }];
        if round % 3 != 0 {
            parts.push(salt);
        }
        if round % 7 != 0 {
            parts.push(password);
        }
        parts.push(if odd { &result } else { password });
        result = digest(&parts);
    }
    spell(&result)
}

fn digest(parts: &[&[u8]]) -> [u8; 16] {
    let mut hasher = Md5::new();
    for part in parts {
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// The digest in the algorithm's own base 64, its bytes in the algorithm's own order.
fn spell(bytes: &[u8; 16]) -> String {
    let mut out = String::with_capacity(22);
    let mut put = |high: u8, middle: u8, low: u8, count: u32| {
        let word = (u32::from(high) << 16) | (u32::from(middle) << 8) | u32::from(low);
        for place in 0..count {
            let index = usize::try_from((word >> (6 * place)) & 63).unwrap_or(0);
            out.push(char::from(ALPHABET.get(index).copied().unwrap_or(b'.')));
        }
    };
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = *bytes;
    put(a, g, m, 4);
    put(b, h, n, 4);
    put(c, i, o, 4);
    put(d, j, p, 4);
    put(e, k, f, 4);
    put(0, 0, l, 2);
    out
}

#[cfg(test)]
mod tests {
    use super::verify;

    /// Written by `openssl passwd -apr1`.
    #[test]
    fn hashes_of_others_are_known() {
        let hash = "$apr1$abcd1efg$rqVhVzuQ8ngqPXCyD.GFg1";
        assert!(verify("secret", hash));
        assert!(!verify("Secret", hash));
        assert!(verify("", "$apr1$abcd2efg$9YbzDu.lhqavxoLgqFid90"));
        assert!(verify(
            "a rather long password, of 40 characters",
            "$apr1$abcd3efg$FQHE8vzCEZ2mmJlIAV6hW."
        ));
        assert!(!verify("x", "$apr1$"));
    }
}
