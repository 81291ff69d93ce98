//! `ssl_ciphers`: OpenSSL's list language, read for the suites that are spoken.
//!
//! Why by hand: lists are copied from Mozilla's generator and old howtos, with words (`HIGH`,
//! `EECDH+AESGCM`, `!aNULL`) and suites that no one should speak. What stands for suites we have
//! chooses them; what stands for others is told; a list that leaves nothing is refused.

use super::super::model::tls::Cipher;

/// What a list comes to.
#[derive(Debug, Default)]
pub(super) struct Chosen {
    pub(super) ciphers: Vec<Cipher>,
    /// Suites asked for that there are none of.
    pub(super) missing: Vec<String>,
}

/// All of them, in Mozilla's intermediate order.
pub(super) const ALL: [(Cipher, &str); 6] = [
    (
        Cipher::EcdheEcdsaAes128GcmSha256,
        "ECDHE-ECDSA-AES128-GCM-SHA256",
    ),
    (
        Cipher::EcdheRsaAes128GcmSha256,
        "ECDHE-RSA-AES128-GCM-SHA256",
    ),
    (
        Cipher::EcdheEcdsaAes256GcmSha384,
        "ECDHE-ECDSA-AES256-GCM-SHA384",
    ),
    (
        Cipher::EcdheRsaAes256GcmSha384,
        "ECDHE-RSA-AES256-GCM-SHA384",
    ),
    (
        Cipher::EcdheEcdsaChacha20Poly1305,
        "ECDHE-ECDSA-CHACHA20-POLY1305",
    ),
    (
        Cipher::EcdheRsaChacha20Poly1305,
        "ECDHE-RSA-CHACHA20-POLY1305",
    ),
];

/// Reads a list.
pub(super) fn choose(list: &str) -> Chosen {
    let mut chosen = Chosen::default();
    let mut banned: Vec<Cipher> = Vec::new();
    for item in list.split([':', ',', ' ']).filter(|item| !item.is_empty()) {
        match item.as_bytes().first() {
            // `@STRENGTH` and `@SECLEVEL=n` order and bound what OpenSSL has; `+` only moves.
            Some(b'@' | b'+') => {}
            Some(b'!') => {
                let out = matching(item.get(1..).unwrap_or_default());
                chosen.ciphers.retain(|cipher| !out.contains(cipher));
                banned.extend(out);
            }
            Some(b'-') => {
                let out = matching(item.get(1..).unwrap_or_default());
                chosen.ciphers.retain(|cipher| !out.contains(cipher));
            }
            _ => {
                let found = matching(item);
                if found.is_empty() {
                    chosen.missing.push(item.to_owned());
                }
                for cipher in found {
                    if !chosen.ciphers.contains(&cipher) && !banned.contains(&cipher) {
                        chosen.ciphers.push(cipher);
                    }
                }
            }
        }
    }
    chosen
}

/// The suites that `A+B+C` stands for: those that each part stands for.
fn matching(item: &str) -> Vec<Cipher> {
    let fits = |name: &str| item.split('+').all(|word| stands_for(word, name));
    ALL.iter()
        .filter(|(_, name)| fits(name))
        .map(|(cipher, _)| *cipher)
        .collect()
}

/// Whether a word of the language stands for the suite of this name.
fn stands_for(word: &str, name: &str) -> bool {
    match word {
        "ALL" | "DEFAULT" | "HIGH" | "TLSv1.2" | "ECDHE" | "EECDH" | "kECDHE" | "kEECDH"
        | "ECDH" => true,
        "RSA" | "aRSA" => name.contains("-RSA-"),
        "ECDSA" | "aECDSA" => name.contains("-ECDSA-"),
        "AES" | "AESGCM" | "FIPS" => name.contains("-AES"),
        "AES128" => name.contains("AES128"),
        "AES256" => name.contains("AES256"),
        "CHACHA20" => name.contains("CHACHA20"),
        word => word == name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &str) -> Vec<&'static str> {
        let chosen = choose(list);
        let name = |cipher: &Cipher| ALL.iter().find(|(it, _)| it == cipher).unwrap().1;
        chosen.ciphers.iter().map(name).collect()
    }

    #[test]
    fn lists_people_copy_choose_what_they_mean() {
        let intermediate = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:\
            DHE-RSA-AES128-GCM-SHA256";
        assert_eq!(
            names(intermediate),
            [
                "ECDHE-ECDSA-AES128-GCM-SHA256",
                "ECDHE-RSA-AES128-GCM-SHA256"
            ]
        );
        assert_eq!(choose(intermediate).missing, ["DHE-RSA-AES128-GCM-SHA256"]);
        assert_eq!(names("HIGH:!aNULL:!MD5").len(), 6);
        assert_eq!(
            names("EECDH+ECDSA+AESGCM:!AES128"),
            ["ECDHE-ECDSA-AES256-GCM-SHA384"]
        );
        assert_eq!(names("ALL:-CHACHA20:!RSA:CHACHA20+aECDSA").len(), 3);
        assert_eq!(names("!AESGCM:ALL").len(), 2);
        assert_eq!(names("RC4:DES-CBC3-SHA:@STRENGTH"), [""; 0]);
    }
}
